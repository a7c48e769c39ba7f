"""Names and types against a tree that LeRobot wrote."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.files import read_json
from components.dataset import layout

IMAGE = "observation.image"
QUANTILES = ("q01", "q10", "q50", "q90", "q99")


@pytest.fixture(scope="module")
def lerobot_tree(shared_data: Path) -> Path:
    root = shared_data / "lerobot" / "v30_reachy2_apple"
    if not root.is_dir():
        pytest.skip(f"no LeRobot v3.0 tree at {root}")
    return root


def test_the_number_of_a_file_becomes_chunk_and_file() -> None:
    assert layout.place(0) == {"chunk_index": 0, "file_index": 0}
    assert layout.place(1999) == {"chunk_index": 1, "file_index": 999}
    assert layout.DATA_PATH.format(**layout.place(1001)) == "data/chunk-001/file-001.parquet"


def test_info_has_the_keys_of_lerobot(lerobot_tree: Path, tree: Path) -> None:
    theirs, ours = read_json(lerobot_tree / layout.INFO), read_json(tree / layout.INFO)
    assert ours.keys() == theirs.keys()
    for key in ("codebase_version", "chunks_size", "data_path", "video_path", "data_files_size_in_mb"):
        assert ours[key] == theirs[key]
    assert {key: type(ours[key]) for key in theirs} == {key: type(theirs[key]) for key in theirs}
    automatic = set(layout.AUTO_FEATURES)
    assert automatic < theirs["features"].keys()
    for key in automatic:
        assert {k: ours["features"][key][k] for k in ("dtype", "shape", "names")} == {
            k: theirs["features"][key][k] for k in ("dtype", "shape", "names")
        }
    video = theirs["features"][IMAGE]
    assert video["info"].keys() <= ours["features"]["observation.images.wrist"]["info"].keys()
    assert video.keys() == ours["features"]["observation.images.wrist"].keys()


def test_rows_of_episodes_have_the_columns_and_types_of_lerobot(lerobot_tree: Path) -> None:
    theirs = pq.read_schema(lerobot_tree / "meta/episodes/chunk-000/file-000.parquet")
    features = read_json(lerobot_tree / layout.INFO)["features"]
    ours = layout.episodes_schema(features)
    added = {f"stats/{key}/{name}" for key in features for name in QUANTILES}  # newer writers have them
    assert set(ours.names) - added == set(theirs.names)
    for field in theirs:
        assert _plain(ours.field(field.name).type) == _plain(field.type), field.name


def _plain(kind: pa.DataType) -> str:
    return str(kind).replace("element: ", "").replace("item: ", "")


def test_data_has_the_columns_of_lerobot(lerobot_tree: Path) -> None:
    features = read_json(lerobot_tree / layout.INFO)["features"]
    theirs = pq.read_schema(lerobot_tree / "data/chunk-000/file-000.parquet")
    ours = layout.data_schema(features)
    assert set(ours.names) == set(theirs.names)
    for key in layout.AUTO_FEATURES:
        assert ours.field(key).type == theirs.field(key).type
    for key in ("action", layout.STATE):
        assert ours.field(key).type.value_type == theirs.field(key).type.value_type


def test_tasks_look_like_those_of_lerobot(lerobot_tree: Path, tree: Path) -> None:
    theirs, ours = pd.read_parquet(lerobot_tree / layout.TASKS), pd.read_parquet(tree / layout.TASKS)
    assert list(ours.columns) == list(theirs.columns)
    assert ours.dtypes.to_dict() == theirs.dtypes.to_dict()
    assert ours.index.name == theirs.index.name
    assert isinstance(ours.index[0], str)


def test_statistics_are_nested_like_those_of_lerobot(lerobot_tree: Path, tree: Path) -> None:
    theirs, ours = read_json(lerobot_tree / layout.STATS), read_json(tree / layout.STATS)
    pairs = [("observation.images.wrist", IMAGE), ("action", "action"), ("timestamp", "timestamp")]
    for mine, yours in pairs:
        assert theirs[yours].keys() <= ours[mine].keys()
        for name in theirs[yours]:
            assert _depth(ours[mine][name]) == _depth(theirs[yours][name]), (mine, name)


def _depth(value: object) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) else 0
