from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.splits import Candidate
from components.ingest.split import assign

TASKS = ("open", "close")


def episodes(count: int, *, groups: int = 0) -> list[Candidate]:
    return [
        Candidate(f"id{n}", f"pixels{n}", TASKS[n % 2], f"robot{n % groups}" if groups else "") for n in range(count)
    ]


def test_about_the_share_is_held_out_of_each_task() -> None:
    got = assign(episodes(2000), val_share=0.1, seed=1)
    for task in (0, 1):
        held_out = sum(got[f"id{n}"] == "val" for n in range(task, 2000, 2))
        assert 70 <= held_out <= 130


@given(st.permutations(range(40)), st.integers(0, 5))
def test_order_does_not_matter(order: list[int], seed: int) -> None:
    candidates = episodes(40)
    assert assign([candidates[n] for n in order], val_share=0.2, seed=seed) == assign(
        candidates, val_share=0.2, seed=seed
    )


def test_another_seed_holds_out_others() -> None:
    assert assign(episodes(100), val_share=0.2, seed=1) != assign(episodes(100), val_share=0.2, seed=2)


def test_other_pixels_of_the_same_episodes_are_held_out_alike() -> None:
    converted = [replace(one, pixel_sha256=f"smaller {one.pixel_sha256}") for one in episodes(40)]
    for seed in range(5):
        assert assign(converted, val_share=0.1, seed=seed) == assign(episodes(40), val_share=0.1, seed=seed)


def test_adding_episodes_moves_none() -> None:
    few, many = assign(episodes(200), val_share=0.1, seed=1), assign(episodes(400), val_share=0.1, seed=1)
    assert {name: many[name] for name in few} == few


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(TASKS)), min_size=1), st.integers(0, 9))
def test_the_same_pixels_are_never_split(rows: list[tuple[str, str]], seed: int) -> None:
    candidates = [Candidate(f"id{n}", pixels, task) for n, (pixels, task) in enumerate(rows)]
    got = assign(candidates, val_share=0.5, seed=seed)
    sides: dict[str, set[str]] = {}
    for candidate in candidates:
        sides.setdefault(candidate.pixel_sha256, set()).add(got[candidate.episode_id])
    assert all(len(side) == 1 for side in sides.values())


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "r1", "r2", "r3"])), min_size=1),
    st.integers(0, 9),
)
def test_groups_stay_together_and_tie_what_shares_pixels(rows: list[tuple[str, str]], seed: int) -> None:
    candidates = [Candidate(f"id{n}", pixels, "open", group) for n, (pixels, group) in enumerate(rows)]
    got = assign(candidates, val_share=0.5, seed=seed)
    for one in candidates:
        for other in candidates:
            if one.pixel_sha256 == other.pixel_sha256 or (one.group and one.group == other.group):
                assert got[one.episode_id] == got[other.episode_id]


@pytest.mark.parametrize("seed", range(20))
def test_a_small_task_still_holds_one_out(seed: int) -> None:
    got = assign(episodes(6), val_share=0.1, seed=seed)
    for task in (0, 1):
        assert {got[f"id{n}"] for n in range(task, 6, 2)} == {"train", "val"}


def test_an_only_episode_is_trained_on() -> None:
    assert assign(episodes(1), val_share=0.0001, seed=1) == {"id0": "train"}


def test_no_share_holds_nothing_out() -> None:
    assert set(assign(episodes(50), val_share=0.0, seed=1).values()) == {"train"}
