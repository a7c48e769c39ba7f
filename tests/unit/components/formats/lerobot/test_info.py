from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.core.errors import FormatError
from components.formats.lerobot.info import flat_names, number, read_info
from components.formats.lerobot.template import parse

V2_FIELDS = ("episode_chunk", "chunk_index", "episode_index")


def info_of(trees: ModuleType, root: Path, version: str = "v2.1", **changes: Any) -> Any:
    trees.write_info(root, version, **changes)
    return read_info(root, where="tree")


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_what_info_json_says(trees: ModuleType, tmp_path: Path, version: str) -> None:
    info = info_of(trees, tmp_path, version)
    assert (info.version, info.fps, info.robot_type, info.chunks_size) == (version, 10.0, "testbot", 1000)
    assert (info.total_episodes, info.total_frames) == (3, 20)
    assert info.video_keys == (trees.CAMERA,)
    assert info.features["observation.state"].names == ("x", "y", "z")
    assert info.features["action"].names == ("dx", "dy")
    assert info.is_v3 == (version == "v3.0")


def test_what_may_be_missing(trees: ModuleType, tmp_path: Path) -> None:
    for version, path in (
        ("v2.0", "data/chunk-001/episode_001007.parquet"),
        ("v3.0", "data/chunk-001/file-004.parquet"),
    ):
        absent = ("total_episodes", "total_frames", "robot_type", "data_path", "video_path", "chunks_size")
        info = info_of(trees, tmp_path, version, **dict.fromkeys(absent))
        assert (info.total_episodes, info.total_frames, info.robot_type, info.chunks_size) == (None, None, "", 1000)
        numbers = {"episode_index": 1007, "episode_chunk": 1, "chunk_index": 1, "file_index": 4}
        assert info.data_path.path(numbers) == path


@pytest.mark.parametrize("data", [b"", b" \n", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_no_object(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_bytes(data)
    with pytest.raises(FormatError, match=r"empty|cannot be read|expected an object") as caught:
        read_info(tmp_path, where="tree")
    assert (caught.value.code, caught.value.where) == ("bad_info", "tree/meta/info.json")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("codebase_version", None, "'codebase_version' is missing"),
        ("codebase_version", 3, "'codebase_version' is 3"),
        ("fps", None, "'fps' is missing"),
        ("fps", 0, "'fps' is 0"),
        ("fps", -30, "'fps' is -30"),
        ("fps", "30", "'fps' is '30'"),
        ("fps", True, "'fps' is True"),
        ("fps", float("nan"), "'fps' is nan"),
        ("fps", 1e300, "'fps' is 1e"),
        ("features", None, "'features' is missing"),
        ("features", {}, "'features' is dict"),
        ("features", [1], "'features' is list"),
        ("features", {"action": 3}, "'features.action' is 3"),
        ("features", {"action": {"shape": [2]}}, "'features.action.dtype' is missing"),
        ("features", {"action": {"dtype": "float32"}}, "'features.action.shape' is missing"),
        ("features", {"action": {"dtype": "float32", "shape": [-2]}}, "'features.action.shape' is list"),
        ("features", {"action": {"dtype": "video", "shape": [2], "info": "h264"}}, "'features.action.info' is 'h264'"),
        ("total_frames", "many", "'total_frames' is 'many'"),
        ("total_episodes", -1, "'total_episodes' is -1"),
        ("total_episodes", 2**70, "'total_episodes' is 1180"),
        ("robot_type", [], "'robot_type' is list"),
        ("data_path", 3, "'data_path' is 3"),
        ("data_path", "data/all.parquet", "expected paths with {episode_index}"),
    ],
)
def test_a_wrong_field_is_named(trees: ModuleType, tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        info_of(trees, tmp_path, **{field: value})
    assert (caught.value.code, caught.value.where) == ("bad_info", "tree/meta/info.json")


@pytest.mark.parametrize("version", ["v1.6", "v4.0", "2.1", ""])
def test_other_versions_are_refused(trees: ModuleType, tmp_path: Path, version: str) -> None:
    trees.write_info(tmp_path, version)
    with pytest.raises(FormatError, match=r"read are v2.0, v2.1, v3.0") as caught:
        read_info(tmp_path, where="tree")
    assert caught.value.code == "unsupported_version"


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(FormatError, match="git lfs pull") as caught:
        read_info(tmp_path, where="tree")
    assert caught.value.code == "lfs_pointer"


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "meta" / "info.json").mkdir(parents=True)
    with pytest.raises(FormatError, match="cannot be opened") as caught:
        read_info(tmp_path, where="tree")
    assert caught.value.code == "unreadable"


def test_a_huge_file_is_not_read(trees: ModuleType, tmp_path: Path) -> None:
    trees.write_info(tmp_path, "v2.1")
    with (tmp_path / "meta" / "info.json").open("r+b") as stream:
        stream.truncate(1 << 33)
    with pytest.raises(FormatError, match="has 8589934592 bytes") as caught:
        read_info(tmp_path, where="tree")
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "b"], ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"arm": ["a"], "hand": ["b"]}, ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        (None, ()),
        (7, ()),
        ([1, 2], ()),
        ([[[[[["deep"]]]]]], ()),
    ],
)
def test_names_come_in_many_shapes(value: Any, expected: tuple[str, ...]) -> None:
    assert flat_names(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(30, 30.0), (0.5, 0.5), (True, None), ("30", None), (2**2000, None), (float("inf"), None)]
)
def test_numbers_of_sane_size(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/etc/{episode_index}",
        "../{episode_index}.parquet",
        "data/../../{episode_index}",
        "data/{episode_index.__class__}",
        "data/{episode_index!r}",
        "data/{0}",
        "data/{file_index}",
        "data/{unknown}",
        "data/{episode_index:>100d}",
        "data/{episode_index:0999d}",
        "data/{{episode_index}}",
        "data/{episode_index",
        "data\\{episode_index}",
        "data/\0{episode_index}",
        "x" * 501,
        "",
    ],
)
def test_templates_stay_in_the_tree(text: str) -> None:
    with pytest.raises(FormatError, match="'data_path' is") as caught:
        parse(text, V2_FIELDS, "data_path", where="tree/meta/info.json")
    assert caught.value.code == "bad_info"


def test_templates_are_filled() -> None:
    text = "data/chunk-{chunk_index:03d}/{episode_index}_{episode_index:06d}.parquet"
    template = parse(text, V2_FIELDS, "data_path", where="")
    assert template.path({"chunk_index": 2, "episode_index": 2004}) == "data/chunk-002/2004_002004.parquet"


@pytest.mark.parametrize("key", ["../../secret", "/etc", "a/../../b", "x" * 600])
def test_the_name_of_a_camera_leads_nowhere_else(key: str) -> None:
    template = parse("{video_key}/{episode_index}.mp4", (*V2_FIELDS, "video_key"), "video_path", where="")
    with pytest.raises(FormatError, match="leads out of the tree"):
        template.path({"episode_index": 0}, video_key=key)


def test_a_camera_that_leads_out_is_refused_when_the_tree_is_opened(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    features = trees.features()
    features["../../../../outside"] = features[trees.CAMERA]
    (root / "meta" / "info.json").write_text(json.dumps(trees.info("v2.1", features=features)))
    with pytest.raises(FormatError, match="leads out of the tree"):
        trees.open_tree(root)
