"""What belongs together, and that nothing but the episodes decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.dataset.splits import Candidate, deal, group_of, lot, units_of

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


@given(ROWS, st.integers(0, 5))
def test_what_is_alike_is_never_on_two_sides(rows: list[tuple[str, str, str]], seed: int) -> None:
    candidates = candidates_of(rows)
    sides = deal(candidates, {"train": 0.5, "val": 0.3, "test": 0.2}, seed=seed)
    for names in components_of(candidates):
        assert len({sides[name] for name in names}) == 1


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 1), min_size=1), st.integers(0, 3))
def test_shares_get_about_what_they_ask_for(weights: dict[str, float], seed: int) -> None:
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    candidates = [Candidate(f"id{n}", f"p{n}", "open") for n in range(2000)]
    sides = deal(candidates, shares, seed=seed)
    for name, share in shares.items():
        assert abs(sum(side == name for side in sides.values()) / 2000 - share) < 0.06
    assert deal(candidates[:500], shares, seed=seed).items() <= sides.items()
    assert deal(candidates, dict(reversed(shares.items())), seed=seed) == sides


def test_a_group_names_its_unit_before_any_hash() -> None:
    units = units_of([Candidate("one", "0-pixels", "open"), Candidate("two", "0-pixels", "open", "z-robot")])
    assert set(units.values()) == {"z-robot"}


def test_a_row_that_says_nothing_has_no_group() -> None:
    row = {"site": "", "robot_id": "", "task": "open"}
    assert group_of(row, ("site", "robot_id")) == ""
    assert group_of(row | {"site": "north"}, ("site", "robot_id")) == "north/"
    assert group_of(row, ()) == ""


def test_lots_are_the_same_everywhere() -> None:
    assert lot("unit", 1) == 0.1985026963031429
    assert lot("unit", 1) != lot("unit", 2)
