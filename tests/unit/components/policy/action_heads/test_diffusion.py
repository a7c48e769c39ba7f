from __future__ import annotations

import pytest
import torch
from torch import Tensor

from components.core.errors import ContractError
from components.policy.action_heads.diffusion import DiffusionHead, FourierTime, ReadoutDiffusion
from components.policy.action_heads.schedules import DiffusionSchedule, cosine_betas
from components.policy.parts.no_trunk import NoTrunk
from components.policy.parts.segments import SLOTS, Context, Segment

CHUNK, ACTION = 4, 2


class Zero(DiffusionHead):
    """Sees no noise anywhere, and remembers what it was asked."""

    def seen(self, context: Context) -> Tensor:
        return context.state

    def at(self, time: Tensor) -> Tensor:
        return time.unsqueeze(1).float()

    def predict(self, point: Tensor, given: Tensor) -> Tensor:
        self.asked = (point, given)
        return torch.zeros_like(point)


def schedule(times: int = 20) -> DiffusionSchedule:
    return DiffusionSchedule(cosine_betas(times))


def context(rows: int = 3) -> Context:
    generator = torch.Generator().manual_seed(1)
    readout = Segment.whole(SLOTS, torch.randn(rows, 2, 8, generator=generator))
    return Context((readout,), torch.arange(float(rows)).unsqueeze(1), torch.ones(rows, 1), NoTrunk(8))


def batch(rows: int = 3) -> dict[str, Tensor]:
    actions = torch.rand(rows, CHUNK, ACTION, generator=torch.Generator().manual_seed(2))
    return {"actions": actions, "mask": torch.ones(rows, CHUNK)}


def made(**more: int) -> ReadoutDiffusion:
    torch.manual_seed(3)
    return ReadoutDiffusion(8, schedule(), CHUNK, ACTION, steps=5, slots=2, width=16, blocks=2, **more).eval()


@pytest.mark.parametrize("draws", [1, 5])
def test_the_loss_is_the_mean_square_of_the_noise_that_was_not_seen(draws):
    head = Zero(schedule(), CHUNK, ACTION, steps=5, draws=draws)
    torch.manual_seed(7)
    loss = head.loss(context(), batch())
    torch.manual_seed(7)
    times = ((torch.arange(draws)[:, None] + torch.rand(draws, 3)) / draws * 20).long().flatten()
    noise = torch.randn(3 * draws, CHUNK, ACTION)
    torch.testing.assert_close(loss.total / loss.count, noise.square().mean())
    assert (float(loss.count), list(loss.parts)) == (3 * CHUNK * ACTION, ["noise_mse"])
    point, given = head.asked
    torch.testing.assert_close(given, context().state.repeat(draws, 1) + times.unsqueeze(1))
    torch.testing.assert_close(point, head.schedule.noisy(batch()["actions"].repeat(draws, 1, 1), noise, times))


def test_the_times_of_a_window_are_spread_and_each_of_them_is_as_likely():
    head = Zero(schedule(), CHUNK, ACTION, steps=5, draws=4)
    torch.manual_seed(1)
    head.loss(context(500), batch(500))
    times = (head.asked[1] - context(500).state.repeat(4, 1)).view(4, 500)
    assert torch.equal(times.div(5, rounding_mode="floor"), torch.arange(4.0)[:, None].expand(4, 500))
    counts = times.flatten().long().bincount(minlength=20)
    assert counts.min() > 70
    assert counts.max() < 130


def test_what_is_past_the_end_does_not_count_and_weights_do():
    head, whole = Zero(schedule(), CHUNK, ACTION, steps=5, draws=2), batch()
    mask = whole["mask"].clone()
    mask[1:] = 0.0

    def total(part: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(7)
        return head.loss(context(), part).total

    first = total(whole | {"mask": mask})
    assert 0.0 < first < total(whole)
    torch.testing.assert_close(total(whole | {"mask": mask, "weight": torch.full((3,), 2.0)}), 2.0 * first)


def test_a_head_may_learn_the_clean_actions():
    head = Zero(DiffusionSchedule(cosine_betas(20), predicts="sample"), CHUNK, ACTION, steps=5)
    loss = head.loss(context(), batch())
    torch.testing.assert_close(loss.total / loss.count, batch()["actions"].square().mean())


def test_an_answer_is_decided_by_the_noise_it_begins_with():
    head, noise = made(), torch.randn(3, CHUNK, ACTION, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        answer = head.answer(context(), noise)
        assert torch.equal(head.answer(context(), noise), answer)
        assert not torch.allclose(head.answer(context(), -noise), answer)
    assert answer.shape == (3, *head.noise_shape)
    assert answer.abs().max() <= 1.0
    with pytest.raises(ContractError, match="a diffusion begins with noise"):
        head.answer(context())


def test_rows_are_answered_one_by_one():
    head, noise = made(), torch.randn(3, CHUNK, ACTION, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        answer = head.answer(context(), noise)
        one = Context((Segment.whole(SLOTS, context()[SLOTS][1:2]),), torch.ones(1, 1), torch.ones(1, 1), NoTrunk(8))
        torch.testing.assert_close(head.answer(one, noise[1:2]), answer[1:2])


def test_the_first_layer_is_one_over_time_readout_and_actions():
    head, given = made(), torch.tensor([3, 11, 0])
    point, seen = torch.randn(3, CHUNK, ACTION), context()
    with torch.no_grad():
        joined = torch.cat([head.time(given), seen[SLOTS].mean(1), point.flatten(1)], dim=1)
        weight = torch.cat([head.moment.weight, head.readout.weight, head.actions.weight], dim=1)
        hidden = head.blocks(joined @ weight.T + head.readout.bias)
        expected = head.last(hidden * hidden.sigmoid()).view(3, CHUNK, ACTION)
        torch.testing.assert_close(head.predict(point, head.seen(seen) + head.at(given)), expected)


def test_a_readout_of_the_published_size_has_its_parameters():
    """time: 16 frequencies, 32 -> 64 -> 32; in: 32 + 768 + 28 -> 256; three blocks 256 -> 1024 -> 256; out: 28."""
    with torch.device("meta"):
        head = ReadoutDiffusion(768, schedule(), 4, 7, steps=20)
    time = 16 + 32 * 64 + 64 + 64 * 32 + 32
    blocks = 3 * (512 + 256 * 1024 + 1024 + 1024 * 256 + 256)
    expected = time + (32 + 768 + 28) * 256 + 256 + blocks + 256 * 28 + 28
    assert sum(weight.numel() for weight in head.parameters()) == expected


def test_times_are_told_apart():
    torch.manual_seed(1)
    waves = FourierTime(8)(torch.arange(20))
    assert waves.shape == (20, 8)
    assert torch.pdist(waves).min() > 1e-3
