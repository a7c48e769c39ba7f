from __future__ import annotations

from pathlib import Path

from components.dataset.parts import Part, part_of, parts_of
from components.view.doubles import doubles


def test_the_same_pictures_and_numbers_are_found(parts: list[Part]) -> None:
    first = parts[0].dataset.episode_id(0)
    found = doubles(parts)
    assert found["episode_id"] == {"groups": 0, "surplus": 0, "across": 0, "first": []}
    for mark in ("pixel_sha256", "frames_sha256"):
        assert (found[mark]["groups"], found[mark]["surplus"], found[mark]["across"]) == (1, 1, 0)
        assert found[mark]["first"] == [sorted([first, "0" * 64])]


def test_an_episode_of_two_members_is_there_twice(parts: list[Part], tree: Path) -> None:
    found = doubles([*parts, part_of(parts_of(tree)[0].dataset, [4, 6], "again")])
    assert (found["episode_id"]["groups"], found["episode_id"]["surplus"]) == (2, 2)
    assert all(len(ids) == 2 and len(set(ids)) == 1 for ids in found["episode_id"]["first"])
    # Episode 4 is the one that is held out, in both.
    assert found["episode_id"]["across"] == 0


def test_without_doubles_there_are_no_groups(parts: list[Part]) -> None:
    found = doubles([part_of(parts[0].dataset, [1, 2, 3])])
    assert all(entry["groups"] == 0 for entry in found.values())
