"""The same recording in two datasets, on two sides of the split: held out stays held out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dataset.edits.merge import merge
from components.dataset.edits.split import split
from components.dataset.edits.subset import subset, write_subset
from components.dataset.frames import EpisodeFrames
from components.dataset.manifest import read_manifest
from components.dataset.parts import Part, digest_of, parts_of
from components.dataset.reader import Dataset

Make = Callable[..., EpisodeFrames]


def sides_of(parts: list[Part]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        table = part.dataset.table(["split", "episode_id"])
        sides = dict(zip(table["episode_id"].to_pylist(), table["split"].to_pylist(), strict=True))
        names = [part.dataset.episode_id(number) for number in part.indices.tolist()]
        found |= {name: sides[name] for name in names}
        assert [part.dataset.row(number)["split"] for number in part.indices.tolist()] == [sides[n] for n in names]
        rows = part.dataset.episodes.set_index("episode_id")["split"]
        assert [rows[name] for name in names] == [sides[name] for name in names]
    return found


@pytest.fixture(params=["all", "pixels", "numbers", "by a third one", "id"])
def labs(
    request: pytest.FixtureRequest, tmp_path: Path, make_episode: Make, write_tree: Callable[..., str]
) -> dict[str, str]:
    """Trees `a` (trained on: 0 and 1) and `b` (held out: 4, which is the recording of 0 in `a`).

    Returns the side of each episode once they come together.
    """
    mine, other = make_episode(0, length=5), make_episode(1, length=5)
    changes: dict[str, Any] = {
        "all": {},
        "pixels": {"state": np.zeros((5, 4), np.float32)},
        "numbers": {"images": make_episode(9, length=5).images},
        "by a third one": {"images": make_episode(9, length=5).images, "state": np.zeros((5, 4), np.float32)},
        "id": {"episode_id": mine.episode_id},
    }[request.param]
    row = mine.row | {"source_uri": "site-south/4.mcap"}
    theirs = make_episode(0, length=5, **({"episode_id": "f" * 64, "row": row} | changes))
    sides = {mine.episode_id: "val", other.episode_id: "train", theirs.episode_id: "val"}
    episodes = [mine, other]
    if request.param == "by a third one":
        third = make_episode(0, length=5, episode_id="e" * 64, images=theirs.images)
        episodes.append(third)
        sides[third.episode_id] = "val"
    write_tree(tmp_path / "a", episodes)
    write_tree(tmp_path / "b", [theirs])
    return sides


def test_a_merge_holds_out_both(labs: dict[str, str], tmp_path: Path) -> None:
    moved = len(labs) - 1 - (labs.keys() >= {"f" * 64})
    digest = Dataset.open(tmp_path / "a").digest
    for name, sources in {"ab": ("a", "b"), "ba": ("b", "a")}.items():
        done = merge([tmp_path / source for source in sources], tmp_path / name)
        parts = parts_of(tmp_path / name)
        assert sides_of(parts) == labs
        # The double of "id" is taken from `b` there, where it is held out already.
        assert done.manifest.totals["moved_to_val"] == (0 if name == "ba" and len(labs) == 2 else moved)
        assert {part.name: part.dataset.digest for part in parts}["a"] == digest
        for part in parts:
            part.dataset.verify()
    assert digest_of(tmp_path / "ab") == digest_of(tmp_path / "ba")
    assert set(sides_of(parts_of(tmp_path / "a")).values()) == {"train"}


def test_a_copy_is_the_tree_of_that_manifest(labs: dict[str, str], tmp_path: Path) -> None:
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    copy = subset(tmp_path / "all", list(labs), tmp_path / "copy", copy=True)
    assert (copy.digest, copy.moved_to_val) == (digest_of(tmp_path / "all"), 0)
    dataset = Dataset.open(tmp_path / "copy")
    dataset.verify()
    assert sides_of(parts_of(tmp_path / "copy")) == labs


def test_a_copy_of_trees_holds_out_both(labs: dict[str, str], tmp_path: Path) -> None:
    # One tree holds an id once.
    parts = [part for name in "ab"[: len(labs) - 1] for part in parts_of(tmp_path / name)]
    copy = write_subset(parts, tmp_path / "copy", copy=True)
    manifest = write_subset(parts, tmp_path / "few")
    assert (copy.digest, copy.moved_to_val) == (manifest.digest, manifest.moved_to_val)
    if len(parts) == 2:
        assert copy.moved_to_val == len(labs) - 2
        assert sides_of(parts_of(tmp_path / "copy")) == sides_of(parts_of(tmp_path / "few")) == labs


def test_it_stays_so_in_what_is_made_of_it(labs: dict[str, str], tmp_path: Path, make_episode: Make) -> None:
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    mine, other = make_episode(0, length=5).episode_id, make_episode(1, length=5).episode_id
    few = subset(tmp_path / "all", [mine], tmp_path / "few")
    assert (few.moved_to_val, sides_of(parts_of(tmp_path / "few"))) == (0, {mine: "val"})
    # `a` itself trains on it, and comes first.
    subset(tmp_path / "a", [other], tmp_path / "other")
    again = merge([tmp_path / "other", tmp_path / "few"], tmp_path / "again")
    assert len(again.manifest.members) == 1
    assert sides_of(parts_of(tmp_path / "again")) == {mine: "val", other: "train"}
    made = split(tmp_path / "again", {"all": 1.0}, tmp_path / "split")["all"]
    assert sides_of(parts_of(made.root)) == {mine: "val", other: "train"}
    shutil.rmtree(tmp_path / "a")
    assert sides_of(parts_of(tmp_path / "again")) == {mine: "val", other: "train"}
    merge([tmp_path / "again"], tmp_path / "away")
    assert all(member.resplit for member in read_manifest(tmp_path / "away").members)
