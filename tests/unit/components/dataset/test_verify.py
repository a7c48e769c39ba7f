from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError
from components.core.files import read_json, write_json
from components.dataset import layout
from components.dataset.reader import Dataset

WRIST = "videos/observation.images.wrist/chunk-000/file-000.mp4"
STREAMS = "meta/gripline/streams/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FROM = "videos/observation.images.wrist/from_timestamp"


@pytest.fixture(scope="module")
def sealing() -> ModuleType:
    return helpers(UNIT / "dataset/sealing.py")


def flip_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def forget(path: Path, name: str) -> None:
    listed = read_json(path)
    del listed[name]
    write_json(path, listed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: flip_last_byte(r / WRIST), f"{WRIST} changed"),
        (lambda r: (r / "data/extra.parquet").write_text("x"), "data/extra.parquet is not listed"),
        (lambda r: (r / STREAMS).unlink(), f"{STREAMS} is missing"),
        (lambda r: forget(r / layout.OWN_FILES, WRIST), "differs from what the record was sealed over"),
    ],
)
def test_verify_names_what_differs(own_tree: Path, damage: Callable[[Path], Any], message: str) -> None:
    dataset = Dataset.open(own_tree)
    dataset.verify()
    damage(own_tree)
    with pytest.raises(DatasetError, match=message):
        dataset.verify()


def test_verify_names_a_few_and_counts_the_others(own_tree: Path) -> None:
    dataset = Dataset.open(own_tree)
    for number in range(8):
        (own_tree / f"extra-{number}").write_text("x")
    with pytest.raises(DatasetError, match=r"extra-4 is not listed and 3 more"):
        dataset.verify()


@pytest.mark.parametrize("name", ["episode_id", "pixel_sha256", "frames_sha256", "split"])
def test_an_identity_that_is_not_under_the_digest_is_found(own_tree: Path, sealing: ModuleType, name: str) -> None:
    sealing.edit_index(own_tree, lambda index: sealing.set_cell(index, name, 2, "0" * 64))
    with pytest.raises(DatasetError, match=r"digest of the episodes: '[0-9a-f]{64}', expected '[0-9a-f]{64}'"):
        Dataset.open(own_tree).verify()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("episode_index", 7, "episode_index of episode 2 in meta/episodes: 7, expected 2"),
        ("length", 0, "length of episode 2 in meta/episodes: 0, expected 23"),
        ("dataset_to_index", 1, "dataset_to_index of episode 2 in meta/episodes: 1, expected 57"),
        ("data/file_index", 9, "data/file_index of episode 2 in meta/episodes: 9, expected 0"),
        (FROM, 0.0, f"{FROM} of episode 2 in meta/episodes: 0.0, expected 1.7"),
    ],
)
def test_metadata_for_other_readers_agrees_with_the_index(
    own_tree: Path, sealing: ModuleType, name: str, value: float, message: str
) -> None:
    pq.write_table(sealing.set_cell(pq.read_table(own_tree / EPISODES), name, 2, value), own_tree / EPISODES)
    sealing.reseal(own_tree)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree).verify()


def test_a_row_too_few_for_other_readers_is_found(own_tree: Path, sealing: ModuleType) -> None:
    pq.write_table(pq.read_table(own_tree / EPISODES).slice(1), own_tree / EPISODES)
    sealing.reseal(own_tree)
    with pytest.raises(DatasetError, match="rows of meta/episodes: 4, expected 5"):
        Dataset.open(own_tree).verify()


def test_a_tree_with_a_gap_has_the_digest_of_what_is_left(
    tmp_path: Path, episodes: list[Any], write_tree: Callable[..., str], sealing: ModuleType
) -> None:
    digest = write_tree(tmp_path / "others", [episodes[number] for number in (0, 2, 3, 4)])
    root = tmp_path / "tree"
    write_tree(root, episodes, data_file_mb=1e-6, video_file_mb=1e-6)
    sealing.drop_episode(root, 1)
    with pytest.raises(DatasetError, match=f"digest of the episodes: '{digest}'"):
        Dataset.open(root).verify()
    sealing.edit_json(root / layout.OWN_RECORD, lambda record: record.update(digest=digest))
    Dataset.open(root).verify()
