from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.core.episode import Episode
from components.core.errors import UsageError
from components.record.faults import apply_fault, truncate
from components.record.plan import FAULTS

BOTH = pytest.mark.parametrize("shared_clock", [True, False])


def _broken(episode: Episode, fault: str) -> Episode:
    return apply_fault(episode, fault, np.random.default_rng(3))


def _changed(before: Episode, after: Episode) -> set[str]:
    """Names of the streams whose times or values differ."""
    changed = set()
    for name, stream in before.streams.items():
        other = after.streams[name]
        same_time = np.array_equal(stream.time_ns, other.time_ns)
        if not same_time or not np.array_equal(np.array(stream.values), np.array(other.values), equal_nan=True):
            changed.add(name)
    return changed


@BOTH
@pytest.mark.parametrize(
    ("fault", "streams"),
    [
        ("nan", {"hand"}),
        ("frozen_camera", {"fixed"}),
        ("black_frames", {"fixed"}),
        ("state_jump", {"hand"}),
        ("missing_language", set()),
        ("idle", set()),
        ("truncated", set()),
        ("", set()),
    ],
)
def test_a_fault_touches_its_own_streams_only(
    make_episode: Any, shared_clock: bool, fault: str, streams: set[str]
) -> None:
    episode = make_episode(shared_clock=shared_clock)
    broken = _broken(episode, fault)
    assert _changed(episode, broken) == streams
    assert (broken.instruction != episode.instruction) == (fault == "missing_language")
    # The recorder does not know that anything is wrong.
    assert broken.provenance == episode.provenance


@BOTH
def test_nan_hits_a_fifth_of_the_pose(make_episode: Any, shared_clock: bool) -> None:
    values = np.asarray(_broken(make_episode(shared_clock=shared_clock), "nan").stream("hand").values)
    assert np.isnan(values).all(axis=1).mean() == pytest.approx(0.2, abs=0.05)


@BOTH
def test_a_frozen_camera_repeats_one_frame_with_fresh_timestamps(make_episode: Any, shared_clock: bool) -> None:
    episode = make_episode(shared_clock=shared_clock)
    stream = _broken(episode, "frozen_camera").stream("fixed")
    repeats = [np.array_equal(a, b) for a, b in zip(stream.values[:-1], stream.values[1:], strict=True)]
    assert np.mean(repeats) > 0.7
    assert not repeats[0]
    assert (np.diff(stream.time_ns) > 0).all()


@BOTH
def test_black_frames_are_black_for_two_fifths(make_episode: Any, shared_clock: bool) -> None:
    images = np.array(_broken(make_episode(shared_clock=shared_clock), "black_frames").stream("fixed").values)
    assert (images.max(axis=(1, 2, 3)) == 0).mean() == pytest.approx(0.4, abs=0.05)


@BOTH
def test_the_clock_goes_back_once_in_every_stream(make_episode: Any, shared_clock: bool) -> None:
    for stream in _broken(make_episode(shared_clock=shared_clock), "clock_backwards").streams.values():
        assert (np.diff(stream.time_ns) < 0).sum() == 1


@BOTH
def test_the_hand_jumps_once(make_episode: Any, shared_clock: bool) -> None:
    values = np.asarray(_broken(make_episode(shared_clock=shared_clock), "state_jump").stream("hand").values)
    assert (np.linalg.norm(np.diff(values, axis=0), axis=1) > 0.2).sum() == 1


def test_dropped_frames_are_messages_of_one_camera(make_episode: Any) -> None:
    episode = make_episode(shared_clock=False, steps=60)
    broken = _broken(episode, "dropped_frames")
    assert _changed(episode, broken) == {"fixed"}
    assert len(broken.stream("fixed")) / len(episode.stream("fixed")) == pytest.approx(0.6, abs=0.12)


def test_dropped_frames_on_a_shared_clock_are_whole_rows(make_episode: Any) -> None:
    episode = make_episode(shared_clock=True, steps=60)
    broken = _broken(episode, "dropped_frames")
    times = [tuple(stream.time_ns) for stream in broken.streams.values()]
    assert len(set(times)) == 1
    assert len(times[0]) / 60 == pytest.approx(0.6, abs=0.15)
    kept = np.isin(episode.stream("action").time_ns, times[0])
    assert np.array_equal(np.asarray(episode.stream("action").values)[kept], broken.stream("action").values)


def test_the_original_is_left_alone(make_episode: Any) -> None:
    episode, same = make_episode(shared_clock=True), make_episode(shared_clock=True)
    for fault, _ in FAULTS:
        _broken(episode, fault)
    assert _changed(episode, same) == set()


def test_a_truncated_file_is_a_beginning() -> None:
    data = bytes(range(200))
    assert data.startswith(truncate(data))
    assert len(truncate(data)) == 120


def test_an_unknown_fault_is_refused(make_episode: Any) -> None:
    with pytest.raises(UsageError, match=r"no fault 'gremlins'.* Known: black_frames"):
        _broken(make_episode(shared_clock=True), "gremlins")
