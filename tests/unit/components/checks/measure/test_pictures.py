"""Facts about the pictures of a camera, on made ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.checks.measure.pictures import SAME_PICTURE, CameraFacts, block_means, detail, still_shares

MOVING = np.ones(39, bool)


def scenes(length: int = 40, seed: int = 0) -> np.ndarray:
    """uint8 [T, 24, 32] of a bright block that travels over noise."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(60, 120, (length, 24, 32)).astype(np.uint8)
    for tick in range(length):
        frames[tick, 4:12, tick % 24 : tick % 24 + 8] = 230
    return frames


def facts_of(*blocks: np.ndarray, full_range: bool = True, moving: np.ndarray | None = None) -> dict[str, float]:
    length = sum(map(len, blocks))
    facts = CameraFacts(length)
    facts.take(blocks, full_range=full_range)
    given_motion = np.ones(length - 1, bool) if moving is None else moving
    found = facts.facts(given_motion, black_level=8.0)
    return found | {f"thumb_{number}": value for number, value in enumerate(facts.thumb().tolist())}


@given(frames=hnp.arrays(np.uint8, (3, 17, 25)))
def test_block_means_are_means_of_blocks(frames: np.ndarray) -> None:
    plain = frames[:, :16, :24].reshape(3, 2, 8, 3, 8).mean(axis=(2, 4))
    assert block_means(frames) == pytest.approx(plain, abs=1e-4)


def test_a_picture_smaller_than_a_block_is_one() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    assert block_means(frames).tolist() == [[[frames[0, :, :4].mean()]]]


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 39), max_size=6, unique=True))
def test_the_cut_into_blocks_changes_nothing(cuts: list[int]) -> None:
    frames = scenes()
    frames[10:20] = frames[10]
    assert facts_of(*np.split(frames, sorted(cuts))) == pytest.approx(facts_of(frames))


def test_blocks_may_be_overwritten_once_they_are_taken() -> None:
    frames, buffer = scenes(), np.empty((8, 24, 32), np.uint8)
    facts = CameraFacts(40)
    for start in range(0, 40, 8):
        buffer[:] = frames[start : start + 8]
        facts.take([buffer], full_range=True)
    assert facts.facts(MOVING, 8.0) == pytest.approx({k: v for k, v in facts_of(frames).items() if "thumb" not in k})


def test_light_and_darkness_by_hand() -> None:
    frames = scenes()
    frames[:10] //= 32
    found = facts_of(frames)
    assert found["brightness"] == pytest.approx(frames.mean())
    # A scene without light shows a little; what is filled in for a camera that is not there shows nothing.
    assert (found["black_share"], found["even_share"]) == (0.25, 0.0)
    frames[:10] = 3
    found = facts_of(frames)
    assert (found["black_share"], found["even_share"]) == (0.25, 0.25)
    # Black pictures stay the same without being frozen.
    assert found["frozen_share"] == 0.0
    frames[:10] = 90
    assert facts_of(frames)["even_share"] == 0.25
    assert facts_of(frames)["frozen_share"] == pytest.approx(9 / 39)


def test_clipped_pixels_are_counted_on_either_side() -> None:
    frames = np.full((8, 16, 16), 128, np.uint8)
    frames[:, :4], frames[:, 4:6] = 255, 0
    found = facts_of(frames)
    assert (found["clipped_bright"], found["clipped_dark"]) == (0.25, 0.125)


def test_the_limited_range_is_stretched() -> None:
    full = scenes()
    coded = np.rint(16 + full.astype(float) * 219 / 255).astype(np.uint8)
    stretched, wanted = facts_of(coded, full_range=False), facts_of(full)
    for name in ("brightness", "frozen_share", "black_share", "clipped_bright", "detail", "thumb_0"):
        assert stretched[name] == pytest.approx(wanted[name], rel=0.02, abs=0.5 if name[0] in "bt" else 0.01)
    black = np.full((8, 16, 16), 17, np.uint8)
    assert (facts_of(black, full_range=False)["black_share"], facts_of(black)["black_share"]) == (1.0, 0.0)
    assert (facts_of(black, full_range=False)["clipped_dark"], facts_of(black)["clipped_dark"]) == (1.0, 0.0)


def test_noise_is_no_motion_and_a_small_hand_is() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(120 + rng.normal(0, 1.0, (40, 96, 96)), 0, 255).astype(np.uint8)
    assert facts_of(noisy)["frozen_share"] == 1.0
    noisy[20:, 40:45, 40:45] = 30
    assert np.abs(np.diff(block_means(noisy), axis=0)).max() > 10 * SAME_PICTURE
    assert facts_of(noisy)["frozen_share"] == pytest.approx(19 / 39, abs=0.03)


def test_detail_falls_with_focus_and_not_with_light() -> None:
    frame = scenes()[0]
    wide = frame.astype(float)
    soft = (np.roll(wide, 1, 1) + wide + np.roll(wide, -1, 1)) / 3
    assert detail(soft.astype(np.uint8)) < 0.7 * detail(frame)
    assert detail(frame // 2) == pytest.approx(detail(frame), rel=0.03)
    assert detail(np.full((9, 9), 77, np.uint8)) == detail(frame[:2]) == 0.0


def test_the_thumb_is_the_mean_picture_row_by_row() -> None:
    frames = np.zeros((4, 64, 64), np.uint8)
    frames[:, :32, 32:] = 200
    facts = CameraFacts(4)
    facts.take([frames], full_range=True)
    wanted = np.zeros((8, 8))
    wanted[:4, 4:] = 200
    assert facts.thumb() == pytest.approx(wanted.ravel())


FLAGS = st.integers(4, 30).flatmap(lambda n: hnp.arrays(np.bool_, (3, n)))


@given(flags=FLAGS)
def test_still_shares_are_those_of_a_loop(flags: np.ndarray) -> None:
    same, moving, lit = flags
    stretches: list[list[int]] = [[]]
    for stays, goes, light in zip(same, moving, lit, strict=True):
        if stays:
            stretches[-1].append(bool(goes and light))
        else:
            stretches.append([])
    longest, short = max(map(sum, stretches)), sum(sum(each) for each in stretches if len(each) < 5)
    ticks = moving.sum()
    wanted = (longest / ticks, short / ticks) if ticks >= 4 else (0.0, 0.0)
    assert still_shares(same, moving, lit) == pytest.approx(wanted)


@pytest.mark.parametrize(("repeats", "repeated"), [(1, 6 / 39), (4, 24 / 39), (5, 0.0)])
def test_a_slow_camera_repeats_and_one_that_stands_is_frozen(repeats: int, repeated: float) -> None:
    frames = scenes()
    for start in range(0, 36, 6):
        frames[start + 1 : start + 1 + repeats] = frames[start]
    found = facts_of(frames)
    assert found["repeated_share"] == pytest.approx(repeated)
    assert found["frozen_share"] == pytest.approx(repeats / 39)


def test_a_long_stretch_in_which_the_hand_mostly_waits_is_no_repeat() -> None:
    frames, moving = scenes(), np.ones(39, bool)
    frames[5:25] = frames[5]
    moving[8:24] = False
    found = facts_of(frames, moving=moving)
    assert (found["frozen_share"], found["repeated_share"]) == (pytest.approx(3 / 23), 0.0)
