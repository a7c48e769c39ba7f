"""Numbers of files are given once: who opened a dataset before finds no file rather than frames of other episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume, totals_of
from components.dataset.totals import Totals
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]
WRIST = layout.video_path(layout.image_key("wrist"))
DEPTH = layout.depth_path("above")
TINY = {"data_file_mb": 1e-6, "video_file_mb": 1e-6}


@pytest.fixture(scope="module")
def sealing() -> ModuleType:
    return helpers(UNIT / "dataset/sealing.py")


def with_depth(make_episode: Make, seed: int, length: int = 6) -> EpisodeFrames:
    ramp = np.arange(24 * 32).reshape(24, 32) + 500 + 40 * seed
    return make_episode(seed, length=length, depth={"above": np.repeat(ramp[None], length, 0).astype(np.uint16)})


@pytest.fixture
def three(tmp_path: Path, cell: Embodiment, video: Video, make_episode: Make) -> Path:
    """Three episodes with depth, each with files of its own."""
    body = replace(cell, observation=replace(cell.observation, depth=("above",)))
    with DatasetWriter(tmp_path / "tree", body, 20, video, **TINY) as writer:
        for seed in range(3):
            writer.add_frames(with_depth(make_episode, seed))
        writer.close()
    return tmp_path / "tree"


def append(root: Path, video: Video, episode: EpisodeFrames) -> None:
    with resume(root, video, **TINY) as writer:
        writer.add_frames(episode)
        writer.close()


def numbers(root: Path, template: str) -> list[int]:
    """Of the files of a kind that are there."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return [number for number in range(12) if template.format(**layout.place(number)) in names]


def test_a_number_whose_file_is_gone_is_not_given_again(three: Path, video: Video, make_episode: Make) -> None:
    old, unread = Dataset.open(three), Dataset.open(three)
    actions = old.frames(2)["action"]
    delete(three, [old.episode_id(2)])
    append(three, video, with_depth(make_episode, 7))
    new = Dataset.open(three)
    new.verify()
    assert new.indices.tolist() == [0, 1, 3]
    for template in (layout.DATA_PATH, WRIST, DEPTH):
        assert numbers(three, template) == [0, 1, 3]
    assert len(new.images(3, "wrist")) == len(new.depth(3, "above")) == 6
    # Whoever has the old file open still gets its rows, and must not get new pictures with them.
    np.testing.assert_array_equal(old.frames(2)["action"], actions)
    for see in (lambda: old.images(2, "wrist"), lambda: old.depth(2, "above")):
        with pytest.raises(DatasetError, match=r"file-002.mp4: video cannot be decoded: there is no such file"):
            see()
    with pytest.raises(DatasetError, match=r"file-002.parquet: unreadable"):
        unread.frames(2)


def test_what_stays_of_a_video_gets_a_number_that_nobody_had(
    tmp_path: Path, video: Video, make_episode: Make, write_tree: Callable[..., str]
) -> None:
    root, episodes = tmp_path / "tree", [make_episode(seed, length=6) for seed in range(4)]
    write_tree(root, episodes)
    seen = [numbers(root, WRIST)]
    for gone in (0, 1):
        delete(root, [episodes[gone].episode_id])
        seen.append(numbers(root, WRIST))
    append(root, video, make_episode(7, length=6))
    seen.append(numbers(root, WRIST))
    delete(root, [make_episode(7, length=6).episode_id])
    delete(root, [episodes[2].episode_id])
    seen.append(numbers(root, WRIST))
    assert seen == [[0], [1], [2], [2, 3], [4]]
    assert len(Dataset.open(root).images(3, "wrist")) == 6


def test_numbers_stay_given_over_many_commits(three: Path, video: Video, make_episode: Make) -> None:
    for seed in range(3, 7):
        delete(three, [Dataset.open(three).episode_id(seed - 1)])
        append(three, video, with_depth(make_episode, seed))
    delete(three, [Dataset.open(three).episode_id(6)])
    renumber(three)
    totals = totals_of(Dataset.open(three))
    assert [totals.files[template] for template in (layout.DATA_PATH, WRIST, DEPTH)] == [7, 7, 7]
    assert read_json(three / layout.OWN_TOTALS)["next_files"][layout.EPISODES_PATH] == 5


def test_data_files_stay_in_the_order_of_their_names(three: Path, video: Video, make_episode: Make) -> None:
    delete(three, [Dataset.open(three).episode_id(2)])
    append(three, video, with_depth(make_episode, 7))
    dataset = Dataset.open(three)
    files = dataset.table(["data/file_index"])["data/file_index"].to_pylist()
    assert files == sorted(files) == [0, 1, 3]


def test_a_tree_that_says_no_numbers_goes_by_its_files(three: Path, sealing: ModuleType) -> None:
    before = tree_manifest(three / "data")
    sealing.edit_json(three / layout.OWN_TOTALS, lambda totals: totals.pop("next_files"))
    sealing.reseal(three)
    dataset = Dataset.open(three)
    assert [dataset.next_file(template) for template in (layout.DATA_PATH, DEPTH, "a/chunk-{}")] == [3, 3, 0]
    assert tree_manifest(three / "data") == before


@pytest.mark.parametrize("wrong", [[1], {layout.DATA_PATH: -1}, {layout.DATA_PATH: "2"}])
def test_numbers_must_be_some(three: Path, sealing: ModuleType, wrong: object) -> None:
    sealing.edit_json(three / layout.OWN_TOTALS, lambda totals: totals.update(next_files=wrong))
    sealing.reseal(three)
    with pytest.raises(
        DatasetError, match=r"next_files of meta/gripline/totals.json is .*, expected a number for each"
    ):
        Dataset.open(three)


def test_totals_say_them() -> None:
    assert Totals(files={WRIST: 3}).as_dict()["next_files"] == {WRIST: 3}
