from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.dataset.parts import Part, part_of
from components.view.selection import SHOWN, no_selection, selection


def test_counts_and_first_rows(parts: list[Part], verdicts: Path) -> None:
    chosen = [part_of(parts[0].dataset, [1, 2, 4, 5], "some")]
    found = selection(chosen, columns=["episode_index", "verdict", "codes", "dataset"], limit=2, verdicts=verdicts)
    assert (found["total"]["episodes"], found["total"]["frames"]) == (4, 21 + 22 + 24 + 25)
    assert {row["value"]: row["episodes"] for row in found["counts"]["task"]["rows"]} == {"open": 2, "close": 2}
    assert {row["value"]: row["episodes"] for row in found["counts"]["verdict"]["rows"]} == {
        "accepted": 2,
        "quarantined": 1,
        "": 1,
    }
    assert found["rows"] == [
        {"episode_index": 1, "verdict": "accepted", "codes": [], "dataset": "some"},
        {"episode_index": 2, "verdict": "quarantined", "codes": ["black_frames", "idle"], "dataset": "some"},
    ]


def test_without_verdicts_they_are_not_counted(parts: list[Part]) -> None:
    found = selection(parts, limit=0)
    assert list(found["counts"]) == ["task", "embodiment", "split"]
    assert (found["rows"], found["shown"]) == ([], 0)


def test_all_rows_are_shown_without_a_limit(parts: list[Part]) -> None:
    found = selection(parts, limit=None)
    assert (found["shown"], len(found["rows"]), list(found["rows"][0])) == (9, 9, list(SHOWN))
    assert selection(parts, limit=4)["shown"] == 4


def test_of_no_episode_the_same_is_said(parts: list[Part]) -> None:
    nothing, some = no_selection(), selection(parts)
    assert nothing.keys() == some.keys()
    assert nothing["total"].keys() == some["total"].keys()
    assert not any(nothing["total"].values())


@pytest.mark.parametrize(
    ("name", "message"), [("taks", r"no column 'taks'. Did you mean 'task'\?"), ("x; y", "no column 'x; y'. There are")]
)
def test_an_unknown_column_is_refused(parts: list[Part], name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        selection(parts, columns=["task", name])
