"""Timestamps: what rows of streams say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.checks.own.clocks import clocks
from components.checks.own.rows import Rows
from components.core.episode import Stream
from components.ingest.align import stream_facts

Facts = dict[str, Any]
Said = Callable[..., dict[str, list[float]]]


def facts(time_s: Sequence[float] | np.ndarray, name: str = "hand", kind: str = "state") -> Facts:
    """The row that ingest writes for samples at these times."""
    stamps = np.round(np.asarray(time_s) * 1e9).astype(np.int64)
    stream = Stream(name, kind, stamps, np.zeros((len(stamps), 1)))  # type: ignore[arg-type]
    return {"worst_misalignment_ms": 0.0, **stream_facts(stream, start_ns=0)}


@pytest.fixture(scope="module")
def said(episodes: ModuleType) -> Said:
    """`said(rows of one episode, rows of the next, ..., fps=20, column=[...])`: the columns."""

    def of(*streams: list[Facts], fps: float = 20.0, **columns: list[Any]) -> dict[str, list[float]]:
        count = len(streams)
        every = {"ticks_backwards": 0.0, "ticks_stopped": 0.0, "tick_rate_hz": 20.0, "nan_count": 0.0}
        every |= {"even_share": 0.0, "source_format": "mcap"}
        table = {name: columns.get(name, [value] * count) for name, value in every.items()}
        rows = Rows(pa.table({**table, "streams": list(streams)}), episodes.CELL)
        return {name: values.tolist() for name, values in clocks(rows, fps).items()}

    return of


EVEN = np.arange(60) / 30.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rate_hz=st.floats(1, 500), count=st.integers(2, 300))
def test_an_even_stream_drops_nothing_whatever_others_run_at(said: Said, rate_hz: float, count: int) -> None:
    others = [[facts(np.arange(400) / 400.0)]] * 3
    found = said([facts(np.arange(count) / rate_hz)], *others)
    assert found["dropped_share"][0] == pytest.approx(0.0, abs=2e-3)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_the_share_of_lost_samples_is_found_against_the_rate_of_the_others(said: Said, share: float) -> None:
    keep = np.random.default_rng(3).random(400) >= share
    keep[[0, -1]] = True
    lossy = [facts((np.arange(400) / 30.0)[keep])]
    found = said(lossy, *[[facts(EVEN)]] * 3)["dropped_share"]
    assert found == pytest.approx([1 - keep.mean(), 0, 0, 0], abs=0.01)


def test_one_gap_counts_by_its_length(said: Said) -> None:
    time = np.concatenate([np.arange(30) / 30.0, 2.0 + np.arange(30) / 30.0])
    found = said([facts(time)])
    assert found["dropped_share"] == pytest.approx([1 / 3], abs=0.02)
    assert found["max_gap_s"] == pytest.approx([31 / 30], abs=0.01)


def test_a_stream_of_one_sample_is_all_lost_and_one_of_one_instant_is_not_judged(said: Said) -> None:
    assert said([facts([0.5])], [facts([0.5, 0.5, 0.5])])["dropped_share"] == [1.0, 0.0]


def test_the_worst_stream_decides(said: Said) -> None:
    even, gappy = facts(EVEN, "fixed", "image"), facts(np.delete(EVEN, slice(20, 40)))
    both, alone = said([even, gappy], [gappy])["dropped_share"]
    assert both == alone > 0.3
    uneven = facts([0.0, 0.1, 0.2, 0.6])
    assert said([even, uneven])["clock_jitter"] == pytest.approx([uneven["jitter"]])


def test_backwards_and_stopped_count_streams_and_ticks(said: Said) -> None:
    rows = [facts([0.0, 0.2, 0.1, 0.1]), facts([0.0, 0.1], "joints")]
    found = said(rows, rows, ticks_backwards=[0.0, 2.0], ticks_stopped=[1.0, 0.0])
    assert (found["clock_backwards"], found["clock_stopped"]) == ([1, 3], [2, 1])


def test_nans_of_streams_and_of_ticks_are_added(said: Said) -> None:
    row = facts(EVEN)
    assert said([row | {"nan_count": 2}, row], [row], nan_count=[1.0, 4.0])["nan_count"] == [3, 4]


def test_an_episode_without_streams_is_forgiven_all_but_their_absence(said: Said) -> None:
    rows = [facts(EVEN), facts(EVEN, "joints")]
    found = said([], rows, rows)
    for name in ("dropped_share", "clock_jitter", "max_gap_s", "misalignment_ms", "stream_gone_share"):
        assert found[name][0] == 0.0
    assert found["missing_streams"] == [2, 0, 0]


def test_the_rate_of_the_commands_is_that_of_their_stream_else_of_the_ticks(said: Said) -> None:
    rows = [facts(EVEN), facts(np.arange(10) / 10, "action", "action")]
    found = said(rows, rows[:1])
    assert found["action_rate_hz"] == pytest.approx([10.0, 20.0])
    assert found["rate_error"] == pytest.approx([0.5, 0.0])


def test_ticks_at_another_rate_than_the_datasets_are_an_error(said: Said) -> None:
    rows = [facts(np.arange(10) / 20, "action", "action")]
    found = said(rows, rows, rows, tick_rate_hz=[20.0, 0.0, 30.0])
    assert found["rate_error"] == pytest.approx([0.0, 1.0, 0.5])


def test_misalignment_forgives_the_first_period_of_a_held_value_only(said: Said) -> None:
    def late(name: str, kind: str, rate_hz: float, worst_ms: float | None) -> Facts:
        return facts(np.arange(20) / rate_hz, name, kind) | {"worst_misalignment_ms": worst_ms}

    held, image = late("gripper", "state", 10.0, 110.0), late("fixed", "image", 30.0, 16.0)
    unused = late("action_executed", "action", 20.0, None)
    found = said([held], [held, image, unused], [late("gripper", "state", 10.0, float("nan"))])
    assert found["misalignment_ms"] == pytest.approx([10.0, 16.0, 0.0])


def test_a_stream_that_most_episodes_of_the_format_have_is_missing_elsewhere(said: Said) -> None:
    full, part = [facts(EVEN), facts(EVEN, "gripper")], [facts(EVEN)]
    formats = ["mcap"] * 4 + ["hdf5"] * 3
    found = said(full, full, full, part, part, part, part, source_format=formats)
    assert found["missing_streams"] == [0, 0, 0, 1, 0, 0, 0]
    empty = facts(EVEN, "gripper") | {"count": 0}
    assert said(full, full, [facts(EVEN), empty])["missing_streams"] == [0, 0, 1]


def test_a_stream_that_ends_early_or_begins_late_is_gone_for_that_share(said: Said) -> None:
    whole = facts(np.arange(41) / 20)
    early, late = facts(np.arange(11) / 20, "gripper"), facts(1.5 + np.arange(11) / 20, "gripper")
    once = facts([0.0], "gripper")
    found = said([whole, early], [whole, late], [whole, once])["stream_gone_share"]
    assert found == pytest.approx([0.75, 0.75, 0.0])


def test_who_controls_is_said_when_it_changes_and_is_no_stream_with_a_rate(said: Said) -> None:
    whole = facts(EVEN)
    control = facts([0.1, 0.2, 0.2, 0.1, 9.0], "control", "control") | {"nan_count": 1, "worst_misalignment_ms": 900.0}
    found, plain = said([whole, control], [whole, control], [whole]), said([whole], [whole], [whole])
    assert found == plain
    assert found["missing_streams"] == [0, 0, 0]
    assert said([control], [whole])["missing_streams"] == [1, 0]


def test_the_share_of_even_pictures_is_handed_on(said: Said) -> None:
    assert said([facts(EVEN)], even_share=[0.3])["even_share"] == [0.3]
