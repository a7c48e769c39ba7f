"""What belongs together, and that nothing but the episodes decides."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.splits import Candidate, deal, group_of, held_out, hold_out, lot, units_of

MARKS = st.sampled_from(["", "a", "b", "c", "d", "e"])
ROWS = st.lists(st.tuples(MARKS, MARKS, MARKS), min_size=1, max_size=25)


def candidates_of(rows: list[tuple[str, str, str]]) -> list[Candidate]:
    return [Candidate(f"id{n}", pixels, "open", group, numbers) for n, (pixels, group, numbers) in enumerate(rows)]


def components_of(candidates: list[Candidate]) -> list[set[str]]:
    """Connected by any mark, found the slow way."""
    found: list[tuple[set[str], set[tuple[int, str]]]] = []
    for candidate in candidates:
        names, marks = {candidate.episode_id}, {mark for mark in enumerate(candidate.marks) if mark[1]}
        for other in [one for one in found if one[1] & marks]:
            found.remove(other)
            names, marks = names | other[0], marks | other[1]
        found.append((names, marks))
    return [names for names, _ in found]


@given(ROWS, st.randoms())
def test_units_are_what_marks_connect(rows: list[tuple[str, str, str]], random) -> None:
    candidates = candidates_of(rows)
    units = units_of(candidates)
    groups: dict[str, set[str]] = {}
    for name, unit in units.items():
        groups.setdefault(unit, set()).add(name)
    for names in components_of(candidates):
        assert len({units[name] for name in names}) == 1
    random.shuffle(candidates)
    assert units_of(candidates) == units


@given(st.lists(st.tuples(MARKS, MARKS, MARKS, st.booleans()), min_size=1, max_size=25))
def test_a_unit_is_held_out_as_a_whole(rows: list[tuple[str, str, str, bool]]) -> None:
    candidates = [Candidate(f"id{name}", pixels, "open", "", numbers) for name, pixels, numbers, _ in rows]
    on_val = [is_val for *_, is_val in rows]
    table = pa.table(
        {
            "episode_id": [one.episode_id for one in candidates],
            "pixel_sha256": [one.pixel_sha256 for one in candidates],
            "frames_sha256": [one.frames_sha256 for one in candidates],
            "split": ["val" if is_val else "train" for is_val in on_val],
        }
    )
    units = units_of(candidates)
    known = {units[one.episode_id] for one, is_val in zip(candidates, on_val, strict=True) if is_val}
    expected = [units[one.episode_id] in known for one in candidates]
    found = held_out(table)
    assert found.tolist() == expected
    ids = table["episode_id"].filter(pa.array(found)).combine_chunks()
    assert hold_out(table, ids)["split"].to_pylist() == ["val" if one else "train" for one in expected]


@given(ROWS, st.integers(0, 5))
def test_what_is_alike_is_never_on_two_sides(rows: list[tuple[str, str, str]], seed: int) -> None:
    candidates = candidates_of(rows)
    sides = deal(candidates, {"train": 0.5, "val": 0.3, "test": 0.2}, seed=seed)
    for names in components_of(candidates):
        assert len({sides[name] for name in names}) == 1


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 1), min_size=1), st.integers(0, 3))
def test_shares_get_about_what_they_ask_for(weights: dict[str, float], seed: int) -> None:
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    candidates = [Candidate(f"id{n}", f"p{n}", "open") for n in range(2000)]
    sides = deal(candidates, shares, seed=seed)
    for name, share in shares.items():
        assert abs(sum(side == name for side in sides.values()) / 2000 - share) < 0.06
    assert deal(candidates[:500], shares, seed=seed).items() <= sides.items()
    assert deal(candidates, dict(reversed(shares.items())), seed=seed) == sides


@given(ROWS, st.integers(0, 5))
def test_other_pictures_and_numbers_of_the_same_episodes_fall_the_same_way(
    rows: list[tuple[str, str, str]], seed: int
) -> None:
    candidates = candidates_of(rows)
    # As after a conversion: the hashes are others, and equal where they were equal.
    converted = [
        replace(one, pixel_sha256=one.pixel_sha256 and f"{one.pixel_sha256}'", frames_sha256=one.frames_sha256 * 2)
        for one in candidates
    ]
    shares = {"train": 0.5, "val": 0.5}
    assert deal(converted, shares, seed=seed) == deal(candidates, shares, seed=seed)


def test_a_unit_is_named_by_its_smallest_id() -> None:
    units = units_of([Candidate("b", "pixels", "open"), Candidate("a", "pixels", "open"), Candidate("c", "", "open")])
    assert units == {"a": "a", "b": "a", "c": "c"}


def test_a_group_names_its_unit_before_any_id() -> None:
    units = units_of([Candidate("a", "pixels", "open"), Candidate("b", "pixels", "open", "z-robot")])
    assert set(units.values()) == {"z-robot"}


def test_a_row_that_says_nothing_has_no_group() -> None:
    row = {"site": "", "robot_id": "", "task": "open"}
    assert group_of(row, ("site", "robot_id")) == ""
    assert group_of(row | {"site": "north"}, ("site", "robot_id")) == "north/"
    assert group_of(row, ()) == ""


def test_lots_are_the_same_everywhere() -> None:
    assert lot("unit", 1) == 0.1985026963031429
    assert lot("unit", 1) != lot("unit", 2)
