from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import DatasetError
from components.dataset.parts import Part, part_of
from components.view.find import find_episode


def ids(parts: list[Part]) -> list[str]:
    names: list[str] = parts[0].dataset.table(["episode_id"])["episode_id"].to_pylist()
    return names


@pytest.mark.parametrize("length", [64, 12, 6])
def test_by_number_by_id_and_by_how_it_begins(parts: list[Part], length: int) -> None:
    for number, name in enumerate(ids(parts)):
        by_id = find_episode(parts, name[:length], where="kitchen")
        by_number = find_episode(parts, str(number), where="kitchen")
        assert (by_id.index, by_number.index) == (number, number)
        assert by_id.episode_id == by_number.episode_id == name
    assert by_id.row["robot_id"] == "cell-a"


def test_the_verdict_comes_along(parts: list[Part], verdicts: Path) -> None:
    bad = find_episode(parts, "2", where="kitchen", verdicts=verdicts)
    assert (bad.verdict, bad.codes) == ("quarantined", ("black_frames", "idle"))
    assert find_episode(parts, "5", where="kitchen", verdicts=verdicts).verdict == ""
    assert find_episode(parts, "2", where="kitchen").verdict == ""


def test_what_is_no_number_may_still_begin_an_id(parts: list[Part]) -> None:
    assert find_episode(parts, "0", where="kitchen").index == 0
    assert find_episode(parts, "0000000000", where="kitchen").episode_id == "0" * 64


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        ("", r"kitchen: more than one episode begins with '': \w+, \w+, \w+\. Write more of the id"),
        ("99", "kitchen: no episode '99'. Give its number, its id or how that begins"),
        ("open", "kitchen: no episode 'open'"),
    ],
)
def test_none_or_several_are_refused(parts: list[Part], episode: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find_episode(parts, episode, where="kitchen")


def test_only_the_episodes_of_the_part_are_found(parts: list[Part]) -> None:
    few = [part_of(parts[0].dataset, [3, 4])]
    for episode in ("2", ids(parts)[2]):
        with pytest.raises(DatasetError, match=f"no episode '{episode}'"):
            find_episode(few, episode, where="few")
    assert find_episode(few, "4", where="few").index == 4


def test_of_several_datasets_only_ids_are_clear(parts: list[Part]) -> None:
    both = [part_of(parts[0].dataset, [1, 2], "one"), part_of(parts[0].dataset, [2, 3], "two")]
    assert find_episode(both, ids(parts)[2], where="both").index == 2
    with pytest.raises(DatasetError, match=r"no episode '33'\. Give its id or how that begins"):
        find_episode(both, "33", where="both")
