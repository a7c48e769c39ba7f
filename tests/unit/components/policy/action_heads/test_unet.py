from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from components.policy.action_heads.schedules import DiffusionSchedule, cosine_betas
from components.policy.action_heads.unet import FilmBlock, UNet1d, UNetDiffusion, mish, time_waves
from components.policy.parts.no_trunk import NoTrunk
from components.policy.parts.segments import VIEWS, Context, Segment


def made(*widths: int) -> UNet1d:
    torch.manual_seed(1)
    return UNet1d(3, widths, kernel=5, groups=4).eval()


@given(length=st.integers(1, 17), levels=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_chunks_of_every_length_come_back_as_long(length, levels):
    unet = made(*(8, 16, 16)[:levels])
    with torch.no_grad():
        assert unet(torch.zeros(2, length, 3), torch.zeros(2, unet.modulated)).shape == (2, length, 3)


def test_a_chunk_that_is_filled_up_is_read_as_one_with_zeros_behind_it():
    unet, point = made(8, 16), torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))
    film = torch.randn(2, unet.modulated, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        longer = unet(functional.pad(point, (0, 0, 0, 1)), film)
        torch.testing.assert_close(unet(point, film), longer[:, :5])


def test_film_scales_first_and_shifts_then():
    torch.manual_seed(1)
    block = FilmBlock(3, 8, 5, 4)
    hidden, scale, shift = torch.randn(2, 3, 6), torch.randn(2, 8), torch.randn(2, 8)
    inner = scale[:, :, None] * block.before(hidden) + shift[:, :, None]
    expected = block.after(inner) + block.around(hidden)
    torch.testing.assert_close(block(hidden, torch.cat([scale, shift], dim=1)), expected)
    # Without either nothing of the first convolution is left.
    nothing = block(hidden, torch.zeros(2, 16))
    torch.testing.assert_close(nothing, block.after(torch.zeros(2, 8, 6)) + block.around(hidden))


def test_every_block_has_film_of_its_own():
    unet, point = made(8, 16), torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(2))
    film = torch.zeros(1, unet.modulated, requires_grad=True)
    unet(point, film + 0.1).square().sum().backward()
    assert len(unet.films) == 8
    assert all(part.any() for part in film.grad.split(unet.films, dim=1))


def test_the_first_action_sees_the_last():
    unet, point = made(8, 16), torch.zeros(1, 8, 3, requires_grad=True)
    unet(point, torch.ones(1, unet.modulated))[0, 0].sum().backward()
    assert point.grad[0, -1].any()


def test_mish_is_the_same_in_a_graph(monkeypatch):
    values = torch.linspace(-30.0, 30.0, 121)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(mish(values), functional.mish(values))


def test_waves_of_a_time_are_sines_then_cosines():
    waves = time_waves(100, 8)
    for time in (0, 1, 57):
        angles = [time * math.exp(-math.log(10000.0) * pair / 3) for pair in range(4)]
        expected = [*map(math.sin, angles), *map(math.cos, angles)]
        assert waves[time].tolist() == pytest.approx(expected, abs=1e-4)


def head() -> UNetDiffusion:
    torch.manual_seed(1)
    cameras = {"camera_front": 6, "camera_wrist": 6}
    schedule = DiffusionSchedule(cosine_betas(20))
    return UNetDiffusion(
        schedule, 4, 3, state_dim=2, cameras=cameras, widths=(8, 16), steps=5, groups=4, time_width=8
    ).eval()


def context(front: float = 1.0, wrist: float = 1.0, state: float = 1.0) -> Context:
    views = torch.stack([torch.full((2, 6), front), torch.full((2, 6), wrist)], dim=1)
    return Context((Segment.whole(VIEWS, views),), torch.full((2, 2), state), torch.ones(2, 1), NoTrunk(6))


def test_it_is_conditioned_by_the_state_and_by_each_camera():
    unet, noise = head(), torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = unet.answer(context(), noise)
        for changed in ({"front": 3.0}, {"wrist": 3.0}, {"state": 3.0}):
            assert not torch.equal(unet.answer(context(**changed), noise), before)


def test_film_is_one_layer_over_time_state_and_cameras():
    unet, times = head(), torch.tensor([3, 19])
    with torch.no_grad():
        parts = [mish(context().state), mish(context()[VIEWS].flatten(1))]
        weights = [source.weight for source in unet.film.sources.values()]
        expected = torch.cat(parts, dim=1) @ torch.cat(weights, dim=1).T + unet.film.bias
        expected = expected + unet.time(unet.waves[times]) @ unet.moment.weight.T
        torch.testing.assert_close(unet.seen(context()) + unet.at(times), expected)
