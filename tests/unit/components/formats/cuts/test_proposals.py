from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Episode, Stream
from components.core.errors import FormatError
from components.formats import proposals
from components.formats.cuts import Cut
from components.formats.mapping import EpisodeRule, Mapping, StreamRule
from components.formats.proposals import idle_spans, propose, propose_for
from components.formats.source import Field, Opened, Recording

S = 10**9
STEP_NS = S // 20


def moving_between(idle: list[tuple[float, float]], *, length_s: float, seed: int = 0, noise: float = 1e-4) -> Any:
    """Two joints at 20 Hz that swing, and stand still but for their noise from second to second of `idle`."""
    time_ns = np.arange(round(length_s * 20), dtype=np.int64) * STEP_NS
    seconds = time_ns / S
    moves = ~np.any([(seconds >= a) & (seconds < b) for a, b in idle], axis=0) if idle else np.ones(len(seconds), bool)
    phase = np.cumsum(moves) * 0.1
    values = np.stack([np.sin(phase), np.cos(1.3 * phase)], axis=1)
    return time_ns, values + np.random.default_rng(seed).normal(0, noise, values.shape)


@given(st.integers(2, 12), st.integers(4, 15), st.integers(2, 12), st.integers(0, 99))
def test_a_pause_is_found_where_it_is(before: int, pause: int, after: int, seed: int) -> None:
    length = before + pause + after
    time_ns, values = moving_between([(before, before + pause)], length_s=length, seed=seed)
    (span,) = idle_spans(time_ns, values, min_s=3.0)
    assert before * S - STEP_NS <= span[0] <= (before + 0.5) * S
    assert (before + pause - 0.5) * S <= span[1] <= (before + pause) * S + STEP_NS


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_units_do_not_matter(scale: float, offset: float) -> None:
    time_ns, values = moving_between([(5, 10)], length_s=15)
    assert idle_spans(time_ns, (values + offset) * scale, min_s=3.0) == idle_spans(time_ns, values, min_s=3.0)


def test_short_pauses_and_plain_motion_are_no_idle_spans() -> None:
    assert idle_spans(*moving_between([(5, 7)], length_s=20), min_s=3.0) == []
    assert idle_spans(*moving_between([], length_s=20), min_s=3.0) == []


def test_what_never_moves_is_idle_and_gaps_in_the_numbers_are_not_motion() -> None:
    time_ns, values = moving_between([(5, 10)], length_s=15)
    assert idle_spans(time_ns, np.ones_like(values), min_s=3.0) == [(0, int(time_ns[-1]))]
    holed = values.copy()
    holed[140] = np.nan
    assert idle_spans(time_ns, holed, min_s=3.0) == idle_spans(time_ns, values, min_s=3.0)
    assert idle_spans(time_ns[:1], values[:1], min_s=0.0) == []


def recorded(episode: Episode, idle: list[tuple[float, float]], *, length_s: float = 90.0) -> Episode:
    time_ns, values = moving_between(idle, length_s=length_s)
    time_ns = time_ns + int(episode.stream("action").time_ns[0])
    streams = {"action": Stream("action", "action", time_ns, values), "camera": episode.stream("camera")}
    return replace(episode, streams={**streams, "joints": Stream("joints", "state", time_ns, values)})


def test_idle_ends_are_trimmed_and_pauses_part_episodes(episode: Episode) -> None:
    long = recorded(episode, [(0, 10), (40, 50), (80, 90)])
    spans = [(cut.start_ns / S, cut.end_ns / S) for cut in propose_for(long, EpisodeRule())]
    np.testing.assert_allclose(spans, [(10, 40), (50, 80)], atol=0.5)


def test_a_pause_of_the_commands_alone_is_none(episode: Episode) -> None:
    long = recorded(episode, [(40, 50)])
    busy = replace(long.stream("joints"), values=moving_between([], length_s=90)[1])
    assert propose_for(replace(long, streams={**long.streams, "joints": busy}), EpisodeRule()) == ()


def test_silences_of_the_actions_part_episodes(episode: Episode) -> None:
    long = recorded(episode, [])
    keep = np.r_[0:600, 900:1800]
    streams = {
        name: replace(stream, time_ns=stream.time_ns[keep], values=np.asarray(stream.values)[keep])
        for name, stream in long.streams.items()
        if name != "camera"
    }
    cuts = propose_for(replace(long, streams=streams), EpisodeRule())
    assert [(cut.start_ns, cut.end_ns) for cut in cuts] == [
        (0, 599 * STEP_NS + 1),
        (900 * STEP_NS, 1799 * STEP_NS + 1),
    ]


class FakeReader:
    """Reads `episode`; a marker rule for the topic `markers` finds `cuts`."""

    def __init__(self, episode: Episode, fields: list[Field], markers: str = "", cuts: tuple[Cut, ...] = ()) -> None:
        self.episode, self._fields, self.markers, self.cuts = episode, fields, markers, cuts
        self.streams: set[str] = set()

    def open_source(self, path: Path, mapping: Mapping, *, where: str) -> Opened:
        if mapping.episode.topic != self.markers:
            raise FormatError("no marker", where=where, code="bad_marker")
        return Opened("fake", ("",), mapping, cuts=self.cuts)

    def fields(self, path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]:
        return self._fields

    def read_part(self, recording: Recording, part: str) -> Episode:
        self.streams = set(recording.mapping.streams)
        return self.episode


def recording(**changes: Any) -> Recording:
    rules = {name: StreamRule(source=name, kind=kind) for name, kind in (("action", "action"), ("camera", "image"))}  # type: ignore[arg-type]
    base = Recording(Path("a.mcap"), "a.mcap", "mcap", "ros2", "00", ("",), Mapping(streams=rules))
    return replace(base, **changes)


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeReader) -> None:
    monkeypatch.setattr(proposals, "reader", SimpleNamespace(mcap=fake).__dict__.__getitem__)


def test_markers_come_before_motion(monkeypatch: pytest.MonkeyPatch, episode: Episode) -> None:
    topics = [
        Field("/episode_rate", "std_msgs/msg/String", (), 3),
        Field("/episode_marker", "std_msgs/msg/String", (), 2),
        Field("/event_camera", "sensor_msgs/msg/Image", (), 2),
    ]
    fake = FakeReader(recorded(episode, [(40, 50)]), topics, "/episode_marker", (Cut(0, 30 * S),))
    use(monkeypatch, fake)
    assert propose(recording()) == (Cut(0, 30 * S, note="proposed: /episode_marker"),)
    assert fake.streams == {"action"}


def test_without_markers_motion_rules_and_no_picture_is_read(
    monkeypatch: pytest.MonkeyPatch, episode: Episode, frames: Any
) -> None:
    use(monkeypatch, FakeReader(recorded(episode, [(40, 50)]), []))
    assert len(propose(recording(parts=("p",)))) == 2
    assert {cut.part for cut in propose(recording(parts=("p",)))} == {"p"}
    assert frames.read == []


def test_nothing_is_proposed_for_what_is_short_or_cut_already(
    monkeypatch: pytest.MonkeyPatch, episode: Episode
) -> None:
    long = recorded(episode, [(20, 30)], length_s=50)
    short = replace(long, streams={"action": long.stream("action")})
    use(monkeypatch, FakeReader(short, []))
    assert propose(recording()) == ()
    assert propose(recording(parts=("a", "b"))) == ()
    assert propose(recording(cuts=(Cut(0, S),), parts=("0.000-1.000s",))) == (Cut(0, S),)
    assert propose(recording(mapping=Mapping(streams={"camera": StreamRule(source="c", kind="image")}))) == ()
