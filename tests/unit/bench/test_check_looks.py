"""Faults of pictures, by the amount that the table says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from checkbench.parts import pictures
from faulty import EVERY, SEEDS, changed, contents, faulty

from components.core.episode import Episode


@EVERY
def test_a_frozen_camera_repeats_its_last_picture(strength: int, episode: Episode) -> None:
    after = faulty("frozen_camera", episode, strength)
    (name,) = changed(episode, after)
    same = [np.array_equal(a, b) for a, b in pairwise(pictures(after, name))]
    assert sum(same) == round((0.2, 0.4, 0.8)[strength] * (len(same) + 1))
    assert same == sorted(same)


@EVERY
def test_black_frames_are_dark(strength: int, episode: Episode) -> None:
    after = faulty("black_frames", episode, strength)
    (name,) = changed(episode, after)
    dark = [picture.mean() < 8 for picture in pictures(after, name)]
    assert sum(dark) == round((0.1, 0.2, 0.4)[strength] * len(dark))


def test_a_blurred_camera_loses_detail_with_the_strength(episode: Episode) -> None:
    contrast = []
    for strength in range(3):
        after = faulty("blurred", episode, strength)
        (name,) = changed(episode, after)
        before = np.array([picture.std() for picture in pictures(episode, name)])
        contrast.append(max(np.array([picture.std() for picture in pictures(after, name)]) / before))
    assert 1 > contrast[0] > contrast[1] > contrast[2] > 0


@EVERY
def test_exposure_multiplies_the_light(strength: int, episode: Episode) -> None:
    for seed in SEEDS:
        after = faulty("exposure", episode, strength, seed=seed)
        (name,) = changed(episode, after)
        old, new = (((np.array(pictures(one, name)) / 255 + 0.055) / 1.055) ** 2.4 for one in (episode, after))
        usable = (new > 0.02) & (new < 0.95) & (old > 0.02)
        stops = np.log2(np.median(new[usable] / old[usable]))
        assert abs(stops) == pytest.approx(strength + 1, abs=0.1)


@EVERY
def test_duplicate_frames_come_twice_and_never_thrice(strength: int, episode: Episode) -> None:
    after = faulty("duplicate_frames", episode, strength)
    (name,) = changed(episode, after)
    seen = pictures(after, name)
    same = np.array([np.array_equal(a, b) for a, b in pairwise(seen)])
    assert same.sum() == min(round((0.1, 0.25, 0.5)[strength] * len(seen)), len(seen) // 2)
    assert not (same[1:] & same[:-1]).any()
    assert np.array_equal(after.streams[name].time_ns, episode.streams[name].time_ns)


@EVERY
def test_cameras_send_under_each_others_names(strength: int, episode: Episode) -> None:
    after = faulty("camera_swapped", episode, strength)
    bright = [picture.mean() for picture in pictures(after, "fixed")]
    if strength == 2:
        assert contents(after)["fixed"] == contents(episode)["wrist"]
    swapped = np.array(bright) > np.linspace(70, 70 + len(bright), len(bright))
    assert swapped.mean() == pytest.approx((0.5, 0.75, 1.0)[strength], abs=0.05)
    assert (np.diff(after.streams["fixed"].time_ns) > 0).all()
