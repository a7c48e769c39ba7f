from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from components.core.errors import FormatError, InputError
from components.formats.discover import MAGIC_MCAP, find, sniff
from components.formats.source import Found


def found(path: Path, uri: str = "") -> dict[str, str]:
    """Name -> format, or the code of what is not read."""
    return {
        one.uri if isinstance(one, Found) else str(one.where): one.format if isinstance(one, Found) else one.code
        for one in find(path, uri=uri)
    }


def put(path: Path, content: bytes = MAGIC_MCAP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_sources_are_named_by_their_path_below_the_folder(tmp_path: Path) -> None:
    for name in ("b/2.mcap", "b/10.mcap", "a.mcap", "c/d/e.bin"):
        put(tmp_path / name)
    names = ["a.mcap", "b/10.mcap", "b/2.mcap", "c/d/e.bin"]
    assert list(found(tmp_path)) == names
    assert list(found(tmp_path, "south")) == [f"south/{name}" for name in names]
    assert found(tmp_path / "a.mcap") == {"a.mcap": "mcap"}
    assert found(tmp_path / "a.mcap", "x/y") == {"x/y": "mcap"}


def test_hidden_files_and_sidecars_are_skipped(tmp_path: Path) -> None:
    for name in (".git/x", "README.md", "cuts.csv", "a.mcap.cuts.csv", "a.events.json", "LICENSE", "features.json"):
        put(tmp_path / name, b"text")
    assert found(tmp_path) == {}


def test_folders_that_belong_together_are_one_source(tmp_path: Path) -> None:
    put(tmp_path / "lerobot/meta/info.json", b"")
    put(tmp_path / "lerobot/data/chunk-000/file-000.parquet", b"PAR1")
    put(tmp_path / "droid/trajectory.h5", b"x")
    put(tmp_path / "droid/recordings/MP4/1.mp4", b"\0\0\0\x20ftypisom")
    put(tmp_path / "bag/metadata.yaml", b"rosbag2_bagfile_information:\n  version: 9\n")
    put(tmp_path / "bag/bag_0.mcap")
    put(tmp_path / "bag/bag_1.mcap")
    assert found(tmp_path) == {"bag": "mcap", "droid": "hdf5", "lerobot": "lerobot"}
    assert found(tmp_path / "bag") == {"bag": "mcap"}
    assert found(tmp_path / "bag", "night") == {"night": "mcap"}


def test_a_metadata_file_of_something_else_joins_nothing(tmp_path: Path) -> None:
    put(tmp_path / "bag/metadata.yaml", b"author: somebody\n")
    put(tmp_path / "bag/a.mcap")
    assert found(tmp_path) == {"bag/a.mcap": "mcap"}


def test_patterns_match_as_in_a_shell(tmp_path: Path) -> None:
    for name in ("a/1.mcap", "a/2.mcap", "b/1.mcap", "b/note.txt"):
        put(tmp_path / name)
    put(tmp_path / "b/bag/metadata.yaml", b"rosbag2_bagfile_information: {}")
    put(tmp_path / "b/bag/x.mcap")
    assert list(found(tmp_path / "a/*.mcap")) == ["1.mcap", "2.mcap"]
    assert list(found(tmp_path / "*/1.mcap")) == ["a/1.mcap", "b/1.mcap"]
    assert list(found(tmp_path / "[b]")) == ["b/1.mcap", "b/bag"]
    assert list(found(tmp_path / "**")) == ["a/1.mcap", "a/2.mcap", "b/1.mcap", "b/bag"]
    assert list(found(tmp_path / "a/?.mcap", "day")) == ["day/1.mcap", "day/2.mcap"]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(tmp_path: Path) -> None:
    put(tmp_path / "take[1].mcap")
    assert found(tmp_path / "take[1].mcap") == {"take[1].mcap": "mcap"}


@pytest.mark.parametrize("name", ["nowhere", "*.mcap", "no/where/*.mcap"])
def test_nothing_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        found(tmp_path / name)


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    put(tmp_path / "a/1.mcap")
    (tmp_path / "a/again").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path) == {"a/1.mcap": "mcap", "gone": "unreadable"}


@pytest.mark.parametrize("offset", [0, 512, 1024, 2048, 4096])
def test_hdf5_behind_a_block_of_the_users_own_is_known(tmp_path: Path, offset: int) -> None:
    with h5py.File(tmp_path / "a", "w", userblock_size=offset) as file:
        file.create_group("data")
    assert sniff(tmp_path / "a") == "hdf5"


@pytest.mark.parametrize(
    ("name", "content", "code", "hint"),
    [
        ("a.mcap", b"", "empty", "Copy it again"),
        ("a.mcap", b"version https://git-lfs.github.com/spec/v1\n", "lfs_pointer", "git lfs pull"),
        ("a", b"#ROSBAG V2.0\n", "ros1_bag", "rosbags-convert --src a --dst OUT --dst-storage mcap"),
        ("a.bag", b"#garbage", "ros1_bag", "rosbags-convert"),
        ("a.parquet", b"PAR1....", "parquet_alone", "gripline inspect FOLDER"),
        ("a.mp4", b"\0\0\0\x20ftypisom", "video_alone", "gripline inspect FOLDER"),
        ("a.mkv", b"\x1aE\xdf\xa3", "video_alone", "gripline inspect FOLDER"),
        ("a.svo2", b"anything", "svo", "ZED_SVO_Export a.svo2"),
        ("a.npy", b"\x93NUMPY", "numpy_array", "h5py"),
        ("a.pkl", b"(dp0", "pickle", "HDF5 or MCAP"),
        ("a", b"\x80\x05\x95", "pickle", "HDF5 or MCAP"),
        ("a.tfrecord.gz", b"\x1f\x8b\x08", "gzip_archive", "gunzip a.tfrecord.gz"),
        ("a.zst", b"\x28\xb5\x2f\xfd", "zstd_archive", "zstd -d a.zst"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "picture_alone", "FOLDER"),
        ("a.txt", b"hello", "unknown_format", "HDF5, MCAP, RLDS"),
    ],
)
def test_strangers_are_named_with_what_to_do(tmp_path: Path, name: str, content: bytes, code: str, hint: str) -> None:
    with pytest.raises(FormatError, match=name) as caught:
        sniff(put(tmp_path / name, content))
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")


def test_archives_are_known_by_what_they_hold(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", joints=np.zeros(7))
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("a.mcap", b"x")
    assert found(tmp_path) == {"a.npz": "npz", "b.pth": "pickle", "c.zip": "zip_archive"}


def test_a_db3_bag_is_converted_by_its_folder(tmp_path: Path) -> None:
    bag = tmp_path / "talker"
    put(bag / "metadata.yaml", b"rosbag2_bagfile_information: {}")
    with sqlite3.connect(bag / "talker_0.db3") as connection:
        connection.execute("create table messages (id integer)")
    connection.close()
    (error,) = find(bag)
    assert isinstance(error, FormatError)
    assert (error.code, error.where) == ("ros2_db3", "talker_0.db3")
    assert "rosbags-convert --src talker --dst" in (error.hint or "")


@pytest.mark.parametrize("name", [".zgroup", ".zarray", "zarr.json"])
def test_a_zarr_store_is_named_once(tmp_path: Path, name: str) -> None:
    put(tmp_path / "replay.zarr" / name, b"{}")
    put(tmp_path / "replay.zarr/data/0.0", b"chunk")
    (error,) = find(tmp_path)
    assert isinstance(error, FormatError)
    assert (error.code, error.where) == ("zarr", "replay.zarr")
    assert "zarr.copy_all(zarr.open('replay.zarr', 'r')" in (error.hint or "")


def test_a_manifest_is_named_once_and_its_members_are_no_sources(tmp_path: Path) -> None:
    put(tmp_path / "all/manifest.json", b'{"kind": "manifest", "members": []}')
    put(tmp_path / "all/members/lab/meta/info.json", b"{}")
    (error,) = find(tmp_path)
    assert isinstance(error, FormatError)
    assert (error.code, error.where) == ("manifest", "all")
    assert error.message == "a manifest, which names datasets; ingest takes recordings"
    (alone,) = find(tmp_path / "all")
    assert isinstance(alone, FormatError)
    assert alone.code == "manifest"


@pytest.mark.parametrize("content", [b'{"kind": "bundle", "members": []}', b"[1]", b"\xff{"])
def test_another_file_of_that_name_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "all/manifest.json", content)
    (error,) = find(tmp_path)
    assert isinstance(error, FormatError)
    assert (error.code, error.where) == ("unknown_format", "all/manifest.json")


def test_a_damaged_tfrecord_is_left_to_its_reader(tmp_path: Path) -> None:
    assert sniff(put(tmp_path / "a.tfrecord-00000-of-00001", b"damaged!")) == "rlds"


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be opened") as caught:
        sniff(tmp_path / "a.mcap")
    assert caught.value.code == "unreadable"
