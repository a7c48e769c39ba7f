from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import Video
from components.dataset import layout
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume

Write = Callable[..., str]
SplitsOf = Callable[[Sequence[EpisodeFrames]], dict[str, str]]


@pytest.fixture
def grown(tmp_path: Path, episodes: list[EpisodeFrames], video: Video, write_tree: Write, splits_of: SplitsOf) -> Path:
    """Three episodes, then two more."""
    root = tmp_path / "grown"
    write_tree(root, episodes[2:])
    with resume(root, video) as writer:
        for episode in episodes[:2]:
            writer.add_frames(episode)
        writer.close(splits_of(episodes))
    return root


def test_a_grown_dataset_is_the_same_as_a_fresh_one(grown: Path, tree: Path) -> None:
    left, right = Dataset.open(grown), Dataset.open(tree)
    assert left.digest == right.digest
    left.verify()
    assert (grown / layout.STATS).read_bytes() == (tree / layout.STATS).read_bytes()
    running = [read_json(root / layout.OWN_TOTALS)["stats"] for root in (grown, tree)]
    for key in running[0].keys() - set(layout.PLACE_FEATURES):
        assert running[0][key] == running[1][key]
    tables = [
        dataset.episodes.sort_values("episode_id").drop(columns="episode_index").reset_index(drop=True)
        for dataset in (left, right)
    ]
    assert tables[0].equals(tables[1])
    assert len(left.streams) == len(right.streams) == 5


def test_frames_of_old_and_new_episodes_are_found(grown: Path, tree: Path) -> None:
    left, right = Dataset.open(grown), Dataset.open(tree)
    numbers = {row.episode_id: row.episode_index for row in right.episodes.itertuples()}
    for row in left.episodes.itertuples():
        other = numbers[row.episode_id]
        np.testing.assert_array_equal(left.frames(row.episode_index)["action"], right.frames(other)["action"])
        np.testing.assert_array_equal(left.images(row.episode_index, "fixed"), right.images(other, "fixed"))


def test_no_old_data_or_video_file_is_touched_even_through_hard_links(
    tmp_path: Path, tree: Path, video: Video, make_episode: Callable[..., EpisodeFrames]
) -> None:
    before = tree_manifest(tree)
    root = tmp_path / "linked"
    shutil.copytree(tree, root, copy_function=os.link)
    with resume(root, video) as writer:
        writer.add_frames(make_episode(7))
        writer.close()
    assert tree_manifest(tree) == before
    after = tree_manifest(root)
    kept = [name for name in before if name.startswith(("data/", "videos/", "meta/episodes/"))]
    assert len(kept) == 4
    kept.append("meta/gripline/streams/chunk-000/file-000.parquet")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert "videos/observation.images.wrist/chunk-000/file-001.mp4" in after
    assert read_json(root / layout.INFO)["total_episodes"] == 6


def test_an_episode_is_added_once(grown: Path, video: Video, episodes: list[EpisodeFrames]) -> None:
    with resume(grown, video) as writer, pytest.raises(DatasetError, match="is in the dataset already"):
        writer.add_frames(episodes[0])


def test_splits_of_old_episodes_stay_and_can_be_changed(
    grown: Path, video: Video, make_episode: Callable[..., EpisodeFrames]
) -> None:
    before = Dataset.open(grown).episodes.set_index("episode_id")["split"].to_dict()
    old, new = next(name for name, side in before.items() if side == "train"), make_episode(8)
    with resume(grown, video) as writer:
        kept = writer.commit()
        assert Dataset.open(grown).episodes.set_index("episode_id")["split"].to_dict() == before
        writer.add_frames(new)
        writer.commit()
        moved = writer.close({old: "val"})
    after = Dataset.open(grown)
    assert after.digest == moved != kept
    assert after.episodes.set_index("episode_id")["split"].to_dict() == before | {old: "val", new.episode_id: "train"}


def test_totals_that_were_changed_are_not_built_upon(grown: Path, video: Video) -> None:
    write_json(grown / layout.OWN_TOTALS, {"stats": {}})
    with pytest.raises(DatasetError, match=r"totals.json: changed since it was written. Restore the tree"):
        resume(grown, video)


def test_the_next_file_of_a_kind_comes_after_all_that_are_listed() -> None:
    names = ["data/chunk-000/file-007.parquet", "data/chunk-001/file-002.parquet", "data/x", "videos/a/chunk-009/f.mp4"]
    assert layout.next_number(names, layout.DATA_PATH) == 1003
    assert layout.next_number(names, layout.video_path("a")) == 0


def test_other_video_settings_are_refused(tree: Path, video: Video) -> None:
    with pytest.raises(DatasetError, match=r"written with video settings .*'crf': 12.* asked for .*'crf': 30"):
        resume(tree, video.model_copy(update={"crf": 30}))
