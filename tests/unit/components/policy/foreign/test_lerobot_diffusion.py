"""Where LeRobot's Diffusion Policy is arranged otherwise than ours."""

from __future__ import annotations

import torch
from torch.nn import functional

from components.policy.foreign.lerobot_diffusion import Copied, FilmRows

TIME, STATE, CAMERA, BLOCKS = 128, 3, 5, (4, 6)
HOW = FilmRows(BLOCKS, (STATE, CAMERA, CAMERA))


def drawn(frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    columns = TIME + frames * (STATE + 2 * CAMERA)
    return [*(torch.randn(rows, columns) for rows in BLOCKS), *(torch.randn(rows) for rows in BLOCKS)]


def test_film_of_all_blocks_is_the_same_as_of_each() -> None:
    theirs = drawn(2)
    moment, bias, state, first, second = HOW.ours(theirs)
    time, seen = torch.randn(1, TIME), [torch.randn(1, size) for size in (STATE, CAMERA, CAMERA)]
    # Nothing moved between the two frames: state, cameras, state, cameras.
    given = torch.cat([time, *seen, *seen], 1)
    wanted = torch.cat([functional.linear(given, theirs[at], theirs[len(BLOCKS) + at]) for at in range(len(BLOCKS))], 1)
    found = functional.linear(time, moment, bias)
    for weight, values in zip((state, first, second), seen, strict=True):
        found = found + functional.linear(values, weight)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_one_frame_comes_back_as_it_was() -> None:
    theirs = drawn(1)
    for before, after in zip(theirs, HOW.theirs(HOW.ours(theirs)), strict=True):
        assert torch.equal(before, after)


def test_other_widths_do_not_fit_rather_than_being_added() -> None:
    theirs = [torch.zeros(rows, TIME + 17) for rows in BLOCKS] + [torch.zeros(rows) for rows in BLOCKS]
    assert sum(part.shape[1] for part in HOW.ours(theirs)[2:]) == 17


def test_a_shared_encoder_is_each_cameras() -> None:
    tensor = torch.ones(2)
    assert Copied(3).ours([tensor]) == [tensor] * 3
    assert Copied(3).theirs([tensor] * 3) == [tensor]
