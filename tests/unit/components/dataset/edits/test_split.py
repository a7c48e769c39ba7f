"""Named manifests of one dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.core.files import tree_manifest
from components.dataset.edits.merge import merge
from components.dataset.edits.split import split
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import digest_of, parts_of

Make = Callable[..., EpisodeFrames]
Write = Callable[..., str]
HALVES = {"train": 0.5, "val": 0.5}


def ids_in(path: Path) -> set[str]:
    return {part.dataset.episode_id(number) for part in parts_of(path) for number in part.indices.tolist()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, make_episode: Make, write_tree: Write) -> Path:
    """Twelve episodes; 10 has the pixels of 0 and 11 the numbers of 1."""
    episodes = [make_episode(seed, length=3) for seed in range(10)]
    same_pixels = make_episode(10, length=3, images=episodes[0].images)
    fields = ("state", "action", "time_s", "extras", "task", "instruction")
    same_numbers = make_episode(11, length=3, **{name: getattr(episodes[1], name) for name in fields})
    root = tmp_path_factory.mktemp("many") / "many"
    write_tree(root, [*episodes, same_pixels, same_numbers])
    return root


def test_every_episode_is_in_exactly_one_and_alike_ones_stay_together(
    many: Path, tmp_path: Path, make_episode: Make
) -> None:
    for seed in range(8):
        out = tmp_path / str(seed)
        made = split(many, HALVES, out, seed=seed)
        train, val = ids_in(out / "train"), ids_in(out / "val")
        assert len(train) + len(val) == len(train | val) == 12
        assert made["train"].digest == digest_of(out / "train")
        for one, other in ((0, 10), (1, 11)):
            pair = {make_episode(one).episode_id, make_episode(other).episode_id}
            assert pair <= train or pair <= val
    assert len({digest_of(tmp_path / str(seed) / "val") for seed in range(8)}) > 1


def test_the_same_call_gives_the_same_bytes_in_any_order_of_shares(many: Path, tmp_path: Path) -> None:
    split(many, {"train": 0.7, "val": 0.3}, tmp_path / "one")
    split(many, {"val": 0.3, "train": 0.7}, tmp_path / "two")
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")


def test_groups_stay_together(sites: Path, tmp_path: Path) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    seed = next(n for n in range(1, 50) if not _refused(tmp_path / "all", tmp_path / f"try-{n}", n))
    out = tmp_path / f"try-{seed}"
    for name in HALVES:
        found = {site for part in parts_of(out / name) for site in part.dataset.table(["site"])["site"].to_pylist()}
        chosen = {part.dataset.row(number)["site"] for part in parts_of(out / name) for number in part.indices.tolist()}
        assert len(chosen) == 1
        assert chosen <= found


def _refused(path: Path, out: Path, seed: int) -> bool:
    try:
        split(path, HALVES, out, by=["site"], seed=seed)
    except UsageError:
        return True
    return False


def test_adding_episodes_moves_none(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    episodes = [make_episode(seed, length=2) for seed in range(16)]
    write_tree(tmp_path / "few", episodes[:8])
    write_tree(tmp_path / "more", episodes)
    for name in ("few", "more"):
        split(tmp_path / name, HALVES, tmp_path / f"{name}-split", seed=5)
    for side in HALVES:
        assert ids_in(tmp_path / "few-split" / side) <= ids_in(tmp_path / "more-split" / side)


def test_an_episode_in_two_members_is_on_one_side(sites: Path, tmp_path: Path, at_site) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    for seed in range(1, 6):
        split(tmp_path / "all", HALVES, tmp_path / str(seed), seed=seed)
        name = at_site(3, "north").episode_id
        assert [name in ids_in(tmp_path / str(seed) / side) for side in HALVES].count(True) == 1


def test_a_share_without_an_episode_says_which_seed_has_some(sites: Path, tmp_path: Path) -> None:
    seeds = [n for n in range(1, 30) if _refused(sites / "south", tmp_path / f"try-{n}", n)]
    with pytest.raises(UsageError, match=r"gets no episode \(train \d, val \d\).*with seed (\d+) each share"):
        split(sites / "south", HALVES, tmp_path / "out", by=["site"], seed=seeds[0])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="too few groups"):
        split(sites / "south", {"a": 0.2, "b": 0.3, "c": 0.5}, tmp_path / "out", by=["site"])


@pytest.mark.parametrize(
    ("shares", "by", "said"),
    [
        ({"train": 0.5, "val": 0.4}, [], "add up to 0.9, expected 1: train 0.5, val 0.4"),
        ({"train": 1.0, "val": 0.0}, [], "the share of 'val' is 0"),
        ({"tr/ain": 1.0}, [], "cannot name"),
        ({}, [], "add up to 0"),
        ({"train": 1.0}, ["kitchen"], "cannot group by 'kitchen'.*site"),
    ],
)
def test_what_makes_no_sense_writes_nothing(
    many: Path, tmp_path: Path, shares: dict[str, float], by: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        split(many, shares, tmp_path / "out", by=by)
    assert not (tmp_path / "out").exists()
