from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.ingest.align import (
    Aligned,
    Grid,
    Method,
    Track,
    align,
    interpolate,
    interpolate_rotation,
    nearest,
    previous,
    stream_facts,
)
from components.transforms.rotations import angle_between, to_quaternion

MS = 1_000_000
FPS = 20
METHODS: dict[str, Method] = {"camera": "nearest", "hand": "linear", "gripper": "previous", "action": "command"}


def clock(rate_hz: float, *, first_ms: float = 0.0, last_ms: float = 500.0) -> np.ndarray:
    return np.rint(np.arange(first_ms, last_ms + 1e-6, 1000 / rate_hz) * MS).astype(np.int64)


def numbers(name: str, time_ns: np.ndarray, kind: Any = "state") -> Stream:
    """Values are the sample's time in ms, so that what was taken shows when it was taken."""
    return Stream(name, kind, time_ns, time_ns[:, None] / MS)


def camera(time_ns: np.ndarray) -> Stream:
    return Stream("camera", "image", time_ns, [np.full((2, 2, 3), i, np.uint8) for i in range(len(time_ns))])


def cell(**clocks: np.ndarray) -> dict[str, Stream]:
    times = {"camera": clock(30), "hand": clock(100), "gripper": clock(10), "action": clock(20)} | clocks
    streams = {name: numbers(name, time_ns) for name, time_ns in times.items() if name != "camera"}
    streams["action"] = numbers("action", times["action"], "action")
    return {"camera": camera(times["camera"]), **streams}


def aligned(streams: dict[str, Stream], methods: dict[str, Method] = METHODS, **options: Any) -> Aligned:
    tracks = {name: Track(streams[name], method) for name, method in methods.items()}
    return align(tracks, Grid(**{"anchor": "action", "fps": FPS, "image_margin_ns": 25 * MS} | options))


def test_streams_of_four_rates_meet_on_the_ticks() -> None:
    got = aligned(cell())
    ticks_ms = np.arange(0, 501, 50)
    np.testing.assert_array_equal(got.ticks_ns, ticks_ms * MS)
    np.testing.assert_allclose(got.values["hand"][:, 0], ticks_ms, atol=1e-9)
    np.testing.assert_array_equal(got.values["gripper"][:, 0], ticks_ms // 100 * 100)
    np.testing.assert_array_equal(got.values["action"][:, 0], ticks_ms)
    # 30 Hz frames lie at 0, 33, 67, 100 ...: 50 ms is equally far from two of them, and the earlier one is taken.
    np.testing.assert_array_equal(got.index["camera"], [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15])
    assert got.misalignment_ms == pytest.approx({"camera": 16.67, "hand": 0, "gripper": 50, "action": 0}, abs=0.01)


def test_ticks_start_on_an_action_that_all_streams_cover() -> None:
    got = aligned(cell(camera=clock(30, first_ms=180), action=clock(20, first_ms=7, last_ms=470)))
    # 157 ms is within 25 ms of the first frame; 107 ms is not.
    assert got.ticks_ns[0] == 157 * MS
    np.testing.assert_array_equal(got.values["action"][:, 0], got.ticks_ns / MS)


def test_the_last_ticks_are_kept_while_a_held_value_is_young() -> None:
    assert aligned(cell(gripper=clock(10, last_ms=400))).ticks_ns[-1] == 500 * MS
    assert aligned(cell(gripper=clock(10, last_ms=300))).ticks_ns[-1] == 400 * MS


def test_a_recording_on_one_jittering_clock_keeps_its_samples() -> None:
    shared = clock(20) + np.random.default_rng(0).integers(-MS, MS, 11)
    got = aligned(cell(camera=shared, hand=shared, gripper=shared, action=shared))
    for name in ("camera", "gripper", "action"):
        np.testing.assert_array_equal(got.index[name], np.arange(11))
    assert max(got.misalignment_ms.values()) < 3


def test_without_an_action_near_a_tick_the_last_one_holds() -> None:
    action = np.delete(clock(20), [4, 5, 6])
    got = aligned(cell(action=action))
    assert got.values["action"][3:8, 0].tolist() == [150.0, 150.0, 150.0, 150.0, 350.0]
    assert got.misalignment_ms["action"] == 150.0


def test_a_causal_action_never_comes_from_the_future() -> None:
    late = clock(20) + 4 * MS
    late[0] = 0
    held = {**METHODS, "action": "causal"}
    got = aligned(cell(action=late), methods=held)
    # The action of 54 ms is near enough to the tick at 50 for a command, but nobody knew it then.
    np.testing.assert_array_equal(got.values["action"][:3, 0], [0.0, 0.0, 54.0])
    np.testing.assert_array_equal(aligned(cell(action=late)).values["action"][:3, 0], [0.0, 54.0, 104.0])
    at_ms = got.values["action"][:, 0]
    assert (at_ms <= got.ticks_ns / MS).all()
    assert got.misalignment_ms["action"] == 50.0


@pytest.mark.parametrize("fps", [10, 15, 30, 50])
def test_any_rate_covers_the_same_time(fps: int) -> None:
    got = aligned(cell(), fps=fps)
    np.testing.assert_allclose(np.diff(got.ticks_ns), 1e9 / fps, atol=1)
    assert (got.ticks_ns[0], got.ticks_ns[-1] // MS) == (0, int(500 * fps / 1000) * 1000 // fps)
    np.testing.assert_allclose(got.values["hand"][:, 0], got.ticks_ns / MS, atol=1e-6)


def test_tracks_of_one_stream_share_its_clock_and_its_worst_misalignment() -> None:
    streams = cell()
    tracks = {name: Track(streams[name], method) for name, method in METHODS.items()}
    tracks["hand held"] = Track(streams["hand"], "previous")
    tracks["gripper nearest"] = Track(streams["gripper"], "linear")
    got = align(tracks, Grid("action", FPS, 25 * MS))
    np.testing.assert_array_equal(got.values["hand held"], got.values["hand"])
    assert set(got.misalignment_ms) == set(METHODS)
    assert got.misalignment_ms["gripper"] == 50.0


def test_depth_is_picked_like_a_picture() -> None:
    streams = cell()
    frames = [np.full((2, 2), i, np.uint16) for i in range(16)]
    streams["depth"] = Stream("depth", "depth", clock(30), frames)
    got = aligned(streams, methods={**METHODS, "depth": "nearest"})
    np.testing.assert_array_equal(got.index["depth"], got.index["camera"])
    assert "depth" not in got.values


def test_a_dead_camera_shows_in_the_misalignment() -> None:
    got = aligned(cell(camera=np.delete(clock(30), range(4, 12))))
    assert got.misalignment_ms["camera"] == pytest.approx(150.0)


def test_a_clock_that_steps_back_is_sorted() -> None:
    times = clock(100)
    stepped = times.copy()
    stepped[25:] -= 100 * MS
    got = aligned(cell(hand=stepped))
    assert stream_facts(numbers("hand", stepped), start_ns=0)["backwards"] == 1
    np.testing.assert_allclose(got.values["hand"][:, 0], got.ticks_ns / MS, atol=1e-6)


def test_nan_spreads_to_its_neighbours_and_no_further() -> None:
    streams = cell()
    values = np.array(streams["hand"].values)
    values[12] = np.nan
    streams["hand"] = Stream("hand", "state", streams["hand"].time_ns, values)
    # 120 ms lies between the ticks at 100 and 150, whose samples are 10 and 15.
    assert not np.isnan(aligned(streams).values["hand"]).any()
    values[10] = np.nan
    assert np.isnan(aligned(streams).values["hand"][:, 0]).tolist() == [False, False, True] + [False] * 8


@pytest.mark.parametrize(
    ("clocks", "code", "said"),
    [
        ({"camera": clock(30, first_ms=900, last_ms=1400)}, "no_overlap", "'camera' begins last and 'hand' ends first"),
        ({"action": clock(20, last_ms=0)}, "no_overlap", "less than two ticks"),
        ({"hand": np.array([], np.int64)}, "missing_stream", "'hand' holds no sample"),
        (dict.fromkeys(METHODS, np.array([0, 3600 * 10**9])), "bad_time", "72001 ticks for 2 samples"),
    ],
)
def test_streams_that_never_meet_are_refused(clocks: dict[str, np.ndarray], code: str, said: str) -> None:
    with pytest.raises(EpisodeError, match=said) as caught:
        aligned(cell(**clocks), where="a.mcap")
    assert (caught.value.code, caught.value.where) == (code, "a.mcap")


sorted_times = st.lists(st.integers(0, 10**12), min_size=1, max_size=30).map(lambda v: np.array(sorted(v), np.int64))
ticks = st.lists(st.integers(-(10**11), 2 * 10**12), min_size=1, max_size=30).map(lambda v: np.array(v, np.int64))


@given(sorted_times, ticks)
def test_nearest_is_the_nearest(time_ns: np.ndarray, ticks_ns: np.ndarray) -> None:
    away = np.abs(time_ns[nearest(time_ns, ticks_ns)] - ticks_ns)
    np.testing.assert_array_equal(away, np.abs(time_ns[None] - ticks_ns[:, None]).min(axis=1))


@given(sorted_times, ticks)
def test_previous_never_looks_ahead(time_ns: np.ndarray, ticks_ns: np.ndarray) -> None:
    taken = time_ns[previous(time_ns, ticks_ns)]
    for at, tick in zip(taken, ticks_ns, strict=True):
        earlier = time_ns[time_ns <= tick]
        assert at == (earlier[-1] if len(earlier) else time_ns[0])


@given(sorted_times)
def test_interpolation_gives_back_the_samples(time_ns: np.ndarray) -> None:
    time_ns = np.unique(time_ns)
    values = np.stack([np.sin(time_ns), np.cos(time_ns)], axis=1)
    np.testing.assert_allclose(interpolate(time_ns, values, time_ns), values, atol=1e-12)


def test_rotations_go_along_an_arc() -> None:
    time_ns = np.array([0, 100, 200, 200, 300], np.int64) * MS
    yaw = np.radians([[0, 0, 170], [0, 0, 190], [0, 0, 200], [0, 0, 210], [0, 0, 210]])
    turns = to_quaternion(yaw, "euler_xyz")
    turns[2] *= -1  # the same rotation, as a driver may write it
    ticks_ns = np.array([-50, 0, 50, 150, 250, 300, 400], np.int64) * MS
    got = interpolate_rotation(time_ns, turns, ticks_ns)
    expected = to_quaternion(np.radians([[0, 0, a] for a in (170, 170, 180, 195, 210, 210, 210)]), "euler_xyz")
    assert float(np.max(angle_between(got, expected))) < 1e-7
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(got[1], turns[0])


@given(sorted_times, st.integers(0, 1000))
def test_rotations_at_their_samples_come_back(time_ns: np.ndarray, seed: int) -> None:
    time_ns = np.unique(time_ns)
    turns = np.random.default_rng(seed).normal(size=(len(time_ns), 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    np.testing.assert_array_equal(interpolate_rotation(time_ns, turns, time_ns), turns)


@given(st.integers(-(2**62), 2**62))
def test_where_time_begins_does_not_matter(origin_ns: int) -> None:
    """Epoch nanoseconds do not fit into float64; the way from the first sample does."""
    here, there = aligned(cell()), aligned({n: shifted(s, origin_ns) for n, s in cell().items()})
    np.testing.assert_array_equal(there.ticks_ns - origin_ns, here.ticks_ns)
    for name, values in here.values.items():
        np.testing.assert_array_equal(there.values[name], values)


def shifted(stream: Stream, by_ns: int) -> Stream:
    return Stream(stream.name, stream.kind, stream.time_ns + by_ns, stream.values)


def test_facts_of_a_troubled_clock() -> None:
    times = np.array([0, 10, 20, 20, 15, 25, 95], np.int64) * MS
    values = np.zeros((7, 2))
    values[1] = np.nan
    values[2, 0] = np.inf
    facts = stream_facts(Stream("hand", "state", times, values), start_ns=-5 * MS)
    steps = np.diff(times) / MS
    assert facts == {
        "stream": "hand",
        "kind": "state",
        "count": 7,
        "rate_hz": 100.0,
        "duration_s": 0.095,
        "start_offset_s": 0.005,
        "backwards": 1,
        "duplicates": 1,
        "jitter": pytest.approx(steps.std() / 10),
        "max_gap_s": 0.07,
        "gaps": 1,
        "nan_count": 3,
    }


@pytest.mark.parametrize("times", [[], [5], [5, 5, 5]])
def test_facts_of_a_clock_that_does_not_tick(times: list[int]) -> None:
    facts = stream_facts(Stream("fixed", "image", np.array(times, np.int64), [b""] * len(times)), start_ns=0)
    assert (facts["rate_hz"], facts["jitter"], facts["duration_s"], facts["nan_count"]) == (0.0, 0.0, 0.0, 0)
