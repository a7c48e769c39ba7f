from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.formats.cuts import Cut, from_gaps, from_markers
from components.formats.mapping import EpisodeRule
from components.formats.markers import Marker, parse_marker

S = 10**9
RULE = EpisodeRule()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start", Marker("start")),
        ("  START: pour water ", Marker("start", instruction="pour water")),
        ("success", Marker("stop", outcome="success")),
        ("stop failure: cup fell", Marker("stop", outcome="failure", note="cup fell")),
        ("abort gripper stuck", Marker("stop", outcome="abort", note="gripper stuck")),
        ("true", Marker("start", level="true")),
        ("0", Marker("stop", level="0")),
        ('{"event": "start", "instruction": "pour", "task": "t"}', Marker("start", task="t", instruction="pour")),
        ('{"event": "stop", "outcome": "SUCCESS", "note": "ok"}', Marker("stop", outcome="success", note="ok")),
        ('{"event": true}', Marker("start", level="true")),
        ("started", None),
        ("10", None),
        ("", None),
        ('{"event": "wait"}', None),
        ("{" * 100_000, None),
        ('{"event": ["start"]}', None),
    ],
)
def test_what_a_marker_says(text: str, expected: Marker | None) -> None:
    assert parse_marker(text, RULE) == expected


def test_own_words_and_the_longer_one_rules() -> None:
    rule = EpisodeRule(start=("begin", "begin take"), stop=("begin reset",))
    assert parse_marker("Begin take 7", rule) == Marker("start", instruction="7")
    assert parse_marker("begin reset", rule) == Marker("stop")


def test_a_start_ends_the_one_before_and_outcomes_are_kept() -> None:
    events = [(S, "start pour"), (5 * S, "start wipe"), (9 * S, "failure"), (12 * S, "start")]
    assert from_markers(events, RULE, 20 * S) == (
        Cut(1 * S, 5 * S, instruction="pour"),
        Cut(5 * S, 9 * S, instruction="wipe", outcome="failure"),
        Cut(12 * S, 20 * S, note="no stop marker"),
    )


def test_strays_and_short_ones_are_counted_in_the_next_note() -> None:
    events = [(0, "stop"), (S, "start"), (S + 1, "stop"), (2 * S, "start"), (4 * S, "stop"), (5 * S, "stop")]
    (cut,) = from_markers(events, RULE, 9 * S)
    assert (cut.start_ns, cut.end_ns) == (2 * S, 4 * S)
    assert cut.note == "before it: stops without a start: 1; too short: 1; after it: stops without a start: 1"


def test_a_switch_that_is_sent_all_the_time_makes_one_cut() -> None:
    on = [(n * S // 10, "true" if 20 <= n < 50 else "false") for n in range(80)]
    assert from_markers(on, RULE, 8 * S) == (Cut(2 * S, 5 * S),)


@given(
    st.lists(st.tuples(st.integers(0, 100 * S), st.sampled_from(["start", "stop", "success", "true", "false", "x"])))
)
def test_cuts_are_ordered_apart_and_long_enough(events: list[tuple[int, str]]) -> None:
    cuts = from_markers(events, RULE, 100 * S)
    assert all(cut.end_ns - cut.start_ns >= RULE.min_s * S for cut in cuts)
    assert all(a.end_ns <= b.start_ns for a, b in pairwise(cuts))


def test_silences_part_spans_and_the_last_sample_belongs_to_its_own() -> None:
    times = [0, S, 2 * S, 4 * S, 5 * S, 9 * S]
    rule = EpisodeRule(by="gap", gap_s=2.0, min_s=0.5)
    assert from_gaps(times, rule) == (Cut(0, 2 * S + 1), Cut(4 * S, 5 * S + 1))
    assert from_gaps(np.zeros(0, dtype=np.int64), rule) == ()


@given(st.lists(st.integers(0, 1000 * S), min_size=1, max_size=50))
def test_every_sample_lies_in_one_span(times: list[int]) -> None:
    cuts = from_gaps(times, EpisodeRule(by="gap", min_s=0.0))
    assert all(sum(cut.start_ns <= time < cut.end_ns for cut in cuts) == 1 for time in times)
