"""The plan of a run, as a function of what is known and what is there."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.formats.source import Found
from components.ingest.increment import increment
from components.ingest.ledger import DUPLICATE, PENDING, Entry, Ledger
from components.ingest.report import Quarantined
from components.ingest.sources import Source


def source(uri: str, key: str = "1") -> Source:
    return Source(Found(Path(uri), uri, "mcap"), key, key)


def entry(uri: str, part: str = "", episode: str = "", code: str = "", key: str = "1") -> Entry:
    return Entry(uri, key, "mcap", part, episode or ("" if code else f"id-{uri}-{part}"), code, "")


def test_what_is_known_is_not_read() -> None:
    known = [entry("a"), entry("b", code="truncated")]
    plan = increment(known, [source("a"), source("b"), source("c")])
    assert list(plan.ledger) == known
    assert [one.uri for one in plan.unread] == ["c"]
    assert plan.gone == ()


def test_what_changed_or_went_is_gone() -> None:
    known = [entry("a", "x"), entry("a", "y", code="bad_crc"), entry("b")]
    plan = increment(known, [source("a", "2")])
    assert [one.name for one in plan.gone] == ["a#x", "b"]
    assert [one.uri for one in plan.unread] == ["a"]
    assert list(plan.ledger) == []


def test_a_source_that_was_read_in_part_is_read_on() -> None:
    known = [entry("a", "x"), entry("a", "y", code=PENDING)]
    plan = increment(known, [source("a")])
    assert [one.uri for one in plan.unread] == ["a"]
    assert [one.name for one in plan.ledger.pending] == ["a#y"]


def test_a_double_stays_one_as_long_as_the_other_is_there() -> None:
    known = [entry("a", episode="i"), entry("b", episode="i", code=DUPLICATE)]
    assert increment(known, [source("a"), source("b")]).unread == ()
    plan = increment(known, [source("b")])
    assert [one.uri for one in plan.unread] == ["b"]
    assert [(one.name, one.episode_id) for one in plan.ledger.pending] == [("b", "")]


def test_what_is_no_source_is_looked_at_each_time() -> None:
    before = increment([], [], [Quarantined("x.doc", "unknown_format", "?")])
    assert [one.code for one in before.ledger] == ["unknown_format"]
    after = increment(before.ledger, [], [Quarantined("y.doc", "unknown_format", "?")])
    assert [one.uri for one in after.ledger] == ["y.doc"]


NAMES = st.sampled_from("abcd")


@given(st.lists(st.tuples(NAMES, st.sampled_from("12")), unique_by=lambda one: one[0]), st.sets(NAMES))
def test_every_source_is_known_or_unread_and_nothing_else_stays(known: list[tuple[str, str]], there: set[str]) -> None:
    plan = increment([entry(uri, key=key) for uri, key in known], [source(uri) for uri in sorted(there)])
    kept = {one.uri for one in plan.ledger}
    assert kept | {one.uri for one in plan.unread} == there
    assert kept == {uri for uri, key in known if key == "1"} & there
    assert {one.uri for one in plan.gone} == {uri for uri, _ in known} - kept


def test_a_ledger_is_sorted_by_source_and_keeps_the_order_of_its_parts() -> None:
    ledger = Ledger([entry("b", "2"), entry("b", "10"), entry("a")])
    ledger.put(entry("b", "2", code="bad_crc"))
    assert [one.name for one in ledger] == ["a", "b#2", "b#10"]
    positions = ledger.positions()
    assert positions["a", ""] < positions["b", "2"] < positions["b", "10"]
    assert [row["part"] for row in ledger.rows()] == ["", "2", "10"]


def test_a_double_names_the_episode_that_is_there() -> None:
    ledger = Ledger([entry("b", "x", episode="i"), entry("c", episode="i", code=DUPLICATE), entry("a", code="empty")])
    assert ledger.quarantined() == [
        Quarantined("a", "empty", ""),
        Quarantined("c", DUPLICATE, "the same episode as b#x"),
    ]
