from __future__ import annotations

from pathlib import Path
from types import ModuleType

import h5py
import pytest

from components.core.episode import episode_id
from components.core.errors import EpisodeError, FormatError
from components.core.files import sha256_file
from components.formats.registry import open_recording, read, read_part, sniff


@pytest.mark.parametrize("name", ["a.mcap", "a.hdf5", "a.bin", "a"])
def test_the_name_of_a_file_does_not_matter(recordings: ModuleType, tmp_path: Path, name: str) -> None:
    demo = recordings.make_demo(steps=3)
    assert sniff(recordings.write_mcap(tmp_path / name, demo)) == "mcap"
    assert sniff(recordings.write_hdf5(tmp_path / name, [demo])) == "hdf5"


def test_hdf5_behind_a_user_block_is_known(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a", "w", userblock_size=1024) as file:
        file.create_group("data")
    assert sniff(tmp_path / "a") == "hdf5"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "empty", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "lfs_pointer", "git lfs pull"),
        (b"PAR1....", "unknown_format", "looks like a Parquet file"),
        (b"\0\0\0\x20ftypisom", "unknown_format", "looks like an MP4 video"),
        (b"#ROSBAG V2.0\n", "unknown_format", "looks like a ROS 1 bag"),
        (b"hello", "unknown_format", "begins with b'hello'"),
    ],
)
def test_strangers_are_refused_by_what_they_are(tmp_path: Path, content: bytes, code: str, said: str) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=said) as caught:
        sniff(path)
    assert caught.value.code == code


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be opened"):
        sniff(tmp_path / "a.mcap")


def test_the_same_streams_get_one_id_whatever_held_them(recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(seed, steps=20) for seed in range(3)]
    hdf5 = recordings.write_hdf5(tmp_path / "site/a.hdf5", demos)
    ids = [episode_id(episode) for episode in read(hdf5, root=tmp_path)]
    for number, demo in enumerate(demos):
        path = recordings.write_mcap(tmp_path / f"site/{number}.mcap", demo)
        (episode,) = read(path, root=tmp_path)
        assert episode.provenance.source_uri == f"site/{number}.mcap"
        assert episode_id(episode) == ids[number]
    assert len(set(ids)) == 3


def test_good_demos_are_read_before_a_broken_one_is_reported(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(s, steps=4) for s in range(3)])
    with h5py.File(path, "r+") as file:
        del file["data/demo_1/actions"]
    seen = []
    with pytest.raises(EpisodeError, match=r"a\.hdf5#demo_1: no dataset 'actions'"):
        seen.extend(episode.provenance.source_uri for episode in read(path, root=tmp_path))
    recording = open_recording(path, uri="a.hdf5")
    assert [read_part(recording, part).provenance.source_uri for part in ("demo_0", "demo_2")] == [
        "a.hdf5#demo_0",
        "a.hdf5#demo_2",
    ]


def test_a_recording_knows_its_hash_and_parts(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(s, steps=4) for s in range(2)])
    recording = open_recording(path, uri="x/a.hdf5")
    assert (recording.format, recording.sha256) == ("hdf5", sha256_file(path))
    assert [recording.uri_of(part) for part in recording.parts] == ["x/a.hdf5#demo_0", "x/a.hdf5#demo_1"]
    assert read_part(recording, "demo_1").provenance.source_sha256 == sha256_file(path)
