from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.formats.lerobot import reader
from components.formats.mapping import Mapping, StreamRule

Change = Callable[..., Path]


@pytest.fixture(params=["v2.1", "v3.0"])
def change(request: pytest.FixtureRequest, trees: ModuleType, tmp_path: Path) -> Change:
    """A tree whose info.json says something else than its files hold."""
    version = request.param
    root: Path = trees.write_v3(tmp_path) if version == "v3.0" else trees.write_v2(tmp_path)

    def change(**changes: Any) -> Path:
        trees.write_info(root, version, **changes)
        return root

    return change


def with_feature(trees: ModuleType, key: str, **changes: Any) -> dict[str, Any]:
    features: dict[str, Any] = trees.features()
    return features | {key: features.get(key, {}) | changes}


def test_totals(trees: ModuleType, change: Change) -> None:
    found = trees.problems(change(total_episodes=50, total_frames=14983))
    assert found == {
        "total_episodes": "total_episodes is 50, the tree lists 3",
        "total_frames": "total_frames is 14983, the episodes add up to 20",
    }


def test_the_kind_of_numbers(trees: ModuleType, change: Change) -> None:
    root = change(features=with_feature(trees, "action", dtype="float64", shape=[7], names=list("abcdefg")))
    assert trees.problems(root) == {
        "dtype": "feature 'action' is float64, the tables hold float32",
        "shape": "feature 'action' has shape [7], the tables hold 2 numbers a row",
    }
    # Names that are not as many as the numbers name nothing.
    assert trees.read(root, 1).streams["action"].names == ()


def test_what_a_video_holds(trees: ModuleType, change: Change) -> None:
    video = {"video.codec": "av1", "video.fps": 25}
    found = trees.problems(change(features=with_feature(trees, trees.CAMERA, info=video, shape=[3, 480, 640])))
    assert found == {
        "codec": "observation.images.wrist: codec is av1, the mp4 holds h264",
        "fps": "observation.images.wrist: fps is 25, the mp4 runs at 10",
        "shape": "observation.images.wrist: shape is [3, 480, 640], the mp4 is 64 x 64",
    }


def test_channels_may_come_first(trees: ModuleType, change: Change) -> None:
    assert trees.problems(change(features=with_feature(trees, trees.CAMERA, shape=[3, 64, 64]))) == {}


def test_a_feature_without_a_column(trees: ModuleType, change: Change) -> None:
    root = change(features=with_feature(trees, "observation.effort", dtype="float32", shape=[3]))
    assert trees.problems(root) == {"missing_column": "feature 'observation.effort' has no column in the tables"}
    assert sorted(trees.read(root, 0).streams) == ["action", "state", "wrist"]


def test_another_rate_than_the_timestamps(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    for episode, length in enumerate(trees.LENGTHS):
        stamps = pa.array((np.arange(length) / 4).astype(np.float32))
        pq.write_table(trees.table(episode, length, extra={"timestamp": stamps}), trees.v2_data(root, episode))
    assert trees.problems(root) == {"fps": "fps is 10, the timestamps advance at 4.00 Hz"}
    episode = trees.read(root, 0)
    assert episode.rate_hz == pytest.approx(4)
    # A frame is the one of its row, whatever its time in the mp4.
    trees.assert_frames(episode.streams["wrist"].values, 0)


def test_files_that_lie_elsewhere(trees: ModuleType, change: Change) -> None:
    root = change()
    (root / "data").rename(root / "tables")
    (root / "videos").rename(root / "video")
    for folder in sorted((root / "video").rglob(trees.CAMERA)):
        folder.rename(folder.with_name("wrist"))
    found = trees.problems(root)
    assert sorted(found) == ["data_path", "video_path"]
    assert "video/" in found["video_path"]
    for index in range(3):
        trees.assert_frames(trees.read(root, index).streams["wrist"].values, index)


def test_a_file_that_could_be_two_is_none(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    shutil.copytree(root / "videos", root / "first")
    (root / "videos").rename(root / "second")
    assert trees.problems(root)["missing_video"].startswith("camera 'observation.images.wrist' is left out of 3 of 3")


def test_templates_of_version_2_with_the_words_of_version_3(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    trees.write_info(root, "v2.1", data_path="data/chunk-{chunk_index:03d}/episode_{episode_index:06d}.parquet")
    assert trees.problems(root) == {}


def test_names_without_the_prefix_and_lists_of_float64(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    features = trees.features()
    renamed = {"observation.state": "state", "action": "actions", trees.CAMERA: "image"}
    trees.write_info(root, "v2.1", features={renamed.get(key, key): value for key, value in features.items()})
    (root / "videos/chunk-000" / trees.CAMERA).rename(root / "videos/chunk-000/image")
    for episode, length in enumerate(trees.LENGTHS):
        columns = {
            "observation.state": None,
            "action": None,
            "task_index": None,
            "index": None,
            "state": trees.vectors(trees.state_of(episode, length).astype(np.float64), fixed=False),
            "actions": trees.vectors(trees.action_of(episode, length).astype(np.float64), fixed=False),
        }
        pq.write_table(trees.table(episode, length, extra=columns), trees.v2_data(root, episode))
    episode = trees.read(root, 1)
    assert sorted(episode.streams) == ["action", "image", "state"]
    np.testing.assert_array_equal(episode.streams["state"].values, trees.state_of(1, 9))
    assert episode.instruction == trees.WORDS[1]
    assert set(trees.problems(root)) == {"dtype", "missing_column"}


def test_other_columns(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    for episode, length in enumerate(trees.LENGTHS):
        last = np.arange(length) == length - 1
        extra = {
            "observation.effort": np.arange(length, dtype=np.float64),
            "observation.time": np.arange(length) / 10 + 0.0123456,
            "observation.note": ["x"] * length,
            "complementary_info.is_intervention": pa.array(last),
            "next.success": pa.array(last & (episode == 0)),
            "next.reward": np.ones(length),
            "action_is_pad": pa.array(last),
            "language_instruction": ["pull the handle"] * length,
        }
        pq.write_table(trees.table(episode, length, extra=extra), trees.v2_data(root, episode))
    episode = trees.read(root, 0)
    assert sorted(episode.streams) == [
        "action",
        "complementary_info_is_intervention",
        "effort",
        "state",
        "wrist",
    ]
    control = episode.streams["complementary_info_is_intervention"]
    assert control.kind == "control"
    assert control.values[:, 0].tolist() == [0, 0, 0, 0, 0, 1]
    assert episode.streams["action"].time_ns[1] == 112_345_600
    assert (episode.instruction, episode.provenance.outcome) == ("pull the handle", "success")
    assert trees.read(root, 1).provenance.outcome == "failure"


def test_without_any_time_the_rate_holds(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    pq.write_table(trees.table(0, 6, extra={"timestamp": None}), trees.v2_data(root, 0))
    episode = trees.read(root, 0)
    assert episode.extra["clock"] == "assumed"
    assert episode.streams["action"].time_ns.tolist() == [k * 100_000_000 for k in range(6)]


def test_a_mapping_of_ones_own(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    rules = {
        "hand": StreamRule(source="observation.state", kind="state", select=("z", "x"), names=("z", "x"), units="m"),
        "arm": StreamRule(source="action", kind="action", select=(1,)),
        "eye": StreamRule(source=trees.CAMERA, kind="image"),
        "absent": StreamRule(source="observation.force", kind="force"),
    }
    episode = trees.read(root, 1, Mapping(streams=rules, constants={"licence": "CC0", "task": "unused"}))
    assert sorted(episode.streams) == ["arm", "eye", "hand"]
    np.testing.assert_array_equal(episode.streams["hand"].values, trees.state_of(1, 9)[:, [2, 0]])
    assert episode.streams["hand"].form.units == "m"
    assert episode.extra["left_out"] == "absent"
    assert (episode.provenance.licence, episode.task) == ("CC0", trees.WORDS[1])
    wrong = Mapping(streams={"hand": rules["hand"].model_copy(update={"select": ("w",)})})
    with pytest.raises(reader.EpisodeError, match=r"'observation.state' has no w; there are x, y, z"):
        trees.read(root, 1, wrong)


def test_several_instructions_in_one_episode(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    pq.write_table(trees.table(0, 6, extra={"task_index": np.array([1, 1, 0, 0, 0, 0])}), trees.v2_data(root, 0))
    episode = trees.read(root, 0)
    assert episode.instruction == trees.WORDS[1]
    assert episode.extra["instructions"] == "close the drawer; open the drawer"


def test_frames_behind_the_last_row_are_told(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    trees.v2_video(root, 0).write_bytes(trees.encode([trees.shade(0, k) for k in range(8)]))
    episode = trees.read(root, 0)
    assert episode.extra["unused_frames_wrist"] == "2"
    trees.assert_frames(episode.streams["wrist"].values, 0)


def test_lost_frames_cost_their_episode(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    trees.v2_video(root, 0).write_bytes(trees.encode([trees.shade(0, k) for k in range(4)]))
    with pytest.raises(reader.EpisodeError, match="4 frames for 6 rows") as caught:
        trees.read(root, 0)
    assert caught.value.code == "video_too_short"


def test_frames_lost_between_two_episodes_of_one_file(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v3(tmp_path)
    path = trees.v3_episodes(root, 0)
    rows = pq.read_table(path).to_pylist()
    rows[0][f"videos/{trees.CAMERA}/to_timestamp"] -= 0.2
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(reader.EpisodeError, match="4 frames for 6 rows"):
        trees.read(root, 0)
    trees.assert_frames(trees.read(root, 1).streams["wrist"].values, 1)


def test_a_depth_video_is_named_and_left_out(trees: ModuleType, change: Change) -> None:
    root = change(features=with_feature(trees, trees.CAMERA, info={"video.is_depth_map": True}))
    assert "holds no millimetres" in trees.problems(root)["unsupported_stream"]
    assert sorted(trees.read(root, 0).streams) == ["action", "state"]


def test_fields_for_inspect(trees: ModuleType, change: Change) -> None:
    root = change()
    recording, opened = trees.open_tree(root)
    found = reader.fields(root, "episode_000001", opened.mapping, where="tree#episode_000001")
    assert {(f.name, f.stream, f.shape, f.count) for f in found if f.stream} == {
        ("observation.state", "state", (3,), 9),
        ("action", "action", (2,), 9),
        (trees.CAMERA, "wrist", (64, 64, 3), 9),
    }
    for path in root.rglob("*.mp4"):
        path.write_bytes(b"no video")
    found = reader.fields(root, "episode_000001", recording.mapping, where="tree#episode_000001")
    assert next(f.problem for f in found if f.name == trees.CAMERA).startswith("bad_video: ")


def test_a_chunk_of_actions_a_row_is_named_and_left_out(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    for episode, length in enumerate(trees.LENGTHS):
        chunks = pa.array([[[0.0, 1.0]] * 4] * length)
        pq.write_table(trees.table(episode, length, extra={"action": chunks}), trees.v2_data(root, episode))
    assert trees.problems(root)["unsupported_stream"].endswith("a list of vectors a row")
    assert sorted(trees.read(root, 0).streams) == ["state", "wrist"]


def test_unknown_keys_of_info_json_are_no_matter(trees: ModuleType, change: Change) -> None:
    root = change(tools=[{"type": "function"}], data_files_size_in_mb=100, splits=json.loads('{"train": "0:3"}'))
    assert trees.problems(root) == {}
