"""Faults of clocks and streams, by the amount that the table says."""

from __future__ import annotations

import numpy as np
import pytest
from checkbench.parts import ACTION, pictures
from faulty import ALL, CAMERAS, EVERY, SEEDS, Make, changed, faulty, ticks

from components.core.episode import Episode
from components.core.errors import EpisodeError


@EVERY
def test_a_missing_stream_is_even_or_ends_early(strength: int, episode: Episode) -> None:
    share = (0.25, 0.5, 1.0)[strength]
    for seed in SEEDS:
        after = faulty("missing_stream", episode, strength, seed=seed)
        (name,) = changed(episode, after)
        if name in CAMERAS:
            even = [np.ptp(picture) == 0 for picture in pictures(after, name)]
            assert even == sorted(even)
            assert np.mean(even) == pytest.approx(share, abs=0.02)
        elif strength == 2:
            with pytest.raises(EpisodeError, match=name):
                ticks(after)
        else:
            left = len(after.streams[name])
            assert left == len(episode.streams[name]) - round(share * len(episode.streams[name]))
            assert np.array_equal(after.streams[name].time_ns, episode.streams[name].time_ns[:left])


@EVERY
def test_dropped_frames_lose_samples_between_the_ends(strength: int, episode: Episode) -> None:
    after = faulty("dropped_frames", episode, strength)
    (name,) = changed(episode, after)
    before, left = episode.streams[name].time_ns, after.streams[name].time_ns
    assert len(before) - len(left) == max(1, round((0.1, 0.25, 0.5)[strength] * len(before)))
    assert set(left) <= set(before)
    assert (left[0], left[-1]) == (before[0], before[-1])


@EVERY
def test_all_clocks_step_back_once(strength: int, episode: Episode) -> None:
    after = faulty("clock_backwards", episode, strength)
    for name, stream in episode.streams.items():
        away = stream.time_ns - after.streams[name].time_ns
        assert set(away.tolist()) == {0, (20_000_000, 100_000_000, 400_000_000)[strength]}
        assert (np.diff(away) != 0).sum() == 1


@EVERY
def test_a_stopped_clock_repeats_stamps(strength: int, episode: Episode) -> None:
    after = faulty("clock_stopped", episode, strength)
    (name,) = changed(episode, after)
    steps = np.diff(after.streams[name].time_ns)
    assert (steps == 0).sum() == (1, max(1, round(0.05 * (len(steps) + 1))), round(0.2 * (len(steps) + 1)))[strength]
    assert (steps >= 0).all()


@EVERY
def test_jitter_is_in_periods(strength: int, make_episode: Make) -> None:
    episode = make_episode(shared_clock=True, steps=400)
    after = faulty("clock_jitter", episode, strength)
    (name,) = changed(episode, after)
    away = (after.streams[name].time_ns - episode.streams[name].time_ns) / 50_000_000
    assert away.std() == pytest.approx((0.25, 0.5, 1.0)[strength], rel=0.15)


@EVERY
def test_a_wrong_rate_stretches_all_clocks_alike(strength: int, episode: Episode) -> None:
    factors = set()
    for seed in SEEDS:
        after = faulty("rate_mismatch", episode, strength, seed=seed)
        spans = [np.ptp(after.streams[name].time_ns) / np.ptp(episode.streams[name].time_ns) for name in ALL]
        assert spans == pytest.approx([spans[0]] * len(spans))
        factors.add(round(spans[0], 6))
    slow = (1.15, 1.5, 2.0)[strength]
    assert factors == {round(slow, 6), round(1 / slow, 6)}


@EVERY
def test_misaligned_commands_are_late_or_early_by_frames(strength: int, episode: Episode) -> None:
    found = {
        int(late)
        for seed in SEEDS
        for late in faulty("stream_misaligned", episode, strength, seed=seed).streams[ACTION].time_ns
        - episode.streams[ACTION].time_ns
    }
    frames = (1, 2, 4)[strength] * 50_000_000
    assert found == {frames, -frames}
