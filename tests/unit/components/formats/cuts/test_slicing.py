from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.episode import CONTROL_SOURCES, Episode, Stream, episode_id
from components.core.errors import EpisodeError
from components.formats.cuts import ControlSpan, Cut, apply_words, slice_episode, take_cut

S = 10**9
ORIGIN_NS = 1_700_000_000_000_000_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sets(st.integers(1, 61 * S), max_size=6))
def test_adjoining_cuts_share_out_every_sample(episode: Episode, edges: set[int]) -> None:
    ends = sorted({0, 62 * S} | edges)
    pieces: dict[str, list[Stream]] = {name: [] for name in episode.streams}
    for start_ns, end_ns in pairwise(ends):
        if not _samples(episode, start_ns, end_ns):
            with pytest.raises(EpisodeError, match="no stream holds a sample"):
                slice_episode(episode, Cut(start_ns, end_ns))
            continue
        piece = slice_episode(episode, Cut(start_ns, end_ns))
        for name, stream in piece.streams.items():
            pieces[name].append(stream)
    for name, whole in episode.streams.items():
        joined = np.concatenate([stream.time_ns for stream in pieces[name]])
        assert joined.tolist() == whole.time_ns.tolist()
        if whole.kind == "image":
            numbers = [number for stream in pieces[name] for number in stream.values._numbers]  # type: ignore[union-attr]
            assert numbers == list(range(len(whole)))
        else:
            rows = np.concatenate([np.asarray(stream.values) for stream in pieces[name]])
            np.testing.assert_array_equal(rows, np.asarray(whole.values))


def _samples(episode: Episode, start_ns: int, end_ns: int) -> int:
    since = [stream.time_ns - ORIGIN_NS for stream in episode.streams.values()]
    return sum(int(((times >= start_ns) & (times < end_ns)).sum()) for times in since)


def test_the_span_is_half_open_and_keeps_sensor_time(episode: Episode) -> None:
    piece = slice_episode(episode, Cut(1 * S, 2 * S))
    action = piece.stream("action")
    start = episode.stream("action").time_ns[0]
    assert (action.time_ns - start).tolist() == [S + n * 50_000_000 for n in range(20)]
    assert piece.provenance.source_uri == "shift.mcap#1.000-2.000s"


def test_pictures_are_read_when_somebody_looks(episode: Episode, frames: Any) -> None:
    camera = slice_episode(episode, Cut(1 * S, 3 * S)).stream("camera")
    assert frames.read == []
    assert len(camera) == 20
    assert camera.values[0] == b"frame 10"
    assert camera.values[-1] == b"frame 29"
    assert list(camera.values[2:4]) == [b"frame 12", b"frame 13"]
    assert frames.read == [10, 29, 12, 13]
    with pytest.raises(IndexError):
        camera.values[20]


def test_a_cut_is_not_the_whole_it_came_from(episode: Episode) -> None:
    one, other = (slice_episode(episode, Cut(n * S, (n + 1) * S)) for n in (1, 2))
    assert one.carried_id == ""
    assert len({episode_id(episode), episode_id(one), episode_id(other)}) == 3


def test_a_part_is_named_once(episode: Episode) -> None:
    of_part = episode.with_provenance(source_uri="all.h5#demo_3")
    assert slice_episode(of_part, Cut(0, S, part="demo_3")).provenance.source_uri == "all.h5#demo_3@0.000-1.000s"


def test_streams_without_a_sample_are_left_out(episode: Episode) -> None:
    assert set(slice_episode(episode, Cut(0, 5_000_000)).streams) == {"action", "joints"}


def test_a_span_after_the_end_is_refused(episode: Episode) -> None:
    with pytest.raises(EpisodeError, match="no stream holds a sample") as caught:
        slice_episode(episode, Cut(70 * S, 80 * S))
    assert caught.value.code == "empty_cut"
    assert caught.value.where == "shift.mcap#70.000-80.000s"


def test_a_clock_that_jumps_back_is_cut_by_time(episode: Episode) -> None:
    action = episode.stream("action")
    jumps = replace(action, time_ns=np.r_[action.time_ns[600:], action.time_ns[:600]])
    piece = slice_episode(replace(episode, streams={"action": jumps}), Cut(0, S))
    assert np.asarray(piece.stream("action").values)[:, 0].tolist() == [1200.0 + 2 * n for n in range(20)]


def test_words_of_the_cut_come_before_those_of_the_recording(episode: Episode) -> None:
    said = apply_words(episode, Cut(0, S, task="pour", instruction="pour water", outcome="failure"))
    assert (said.task, said.instruction, said.provenance.outcome) == ("pour", "pour water", "failure")
    unsaid = apply_words(episode, Cut(0, S))
    assert (unsaid.task, unsaid.instruction, unsaid.provenance.outcome) == ("sort", "sort the cups", "unknown")
    assert unsaid.streams == episode.streams


def _who(episode: Episode) -> list[str]:
    return [CONTROL_SOURCES[int(value)] for value in np.asarray(episode.stream("control").values)[:, 0]]


def test_control_spans_are_on_the_clock_of_the_actions(episode: Episode) -> None:
    spans = (ControlSpan(10 * S, 11 * S, "policy"), ControlSpan(11 * S + 500_000_000, 12 * S, "reset"))
    taken = take_cut(episode, Cut(10 * S, 13 * S, control=spans))
    assert _who(taken) == ["policy"] * 20 + ["human"] * 10 + ["reset"] * 10 + ["human"] * 20
    assert taken.stream("control").time_ns.tolist() == taken.stream("action").time_ns.tolist()
    assert np.asarray(taken.stream("control").values).shape == (60, 1)


def test_without_an_origin_the_episode_begins_with_the_cut(episode: Episode) -> None:
    cut = Cut(10 * S, 13 * S, control=(ControlSpan(11 * S, 12 * S, "reset"),))
    assert _who(apply_words(slice_episode(episode, cut), cut)) == _who(take_cut(episode, cut))


def test_outside_of_spans_the_recording_has_the_word(episode: Episode) -> None:
    start = int(episode.stream("action").time_ns[0])
    own = Stream("control", "control", np.array([start + S, start + 2 * S]), np.array([[2.0], [0.0]]))
    both = replace(episode, streams={**episode.streams, "control": own})
    taken = take_cut(both, Cut(0, 4 * S, control=(ControlSpan(3 * S, 4 * S, "human"),)))
    assert _who(taken) == ["blend"] * 40 + ["policy"] * 20 + ["human"] * 20


def test_control_needs_a_clock(episode: Episode) -> None:
    blind = replace(episode, streams={"camera": episode.stream("camera")})
    with pytest.raises(EpisodeError, match="need an action or a state stream") as caught:
        apply_words(blind, Cut(0, S, control=(ControlSpan(0, S, "human"),)))
    assert caught.value.code == "missing_stream"
