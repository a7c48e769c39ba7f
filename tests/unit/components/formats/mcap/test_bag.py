"""Split bags: a folder with metadata.yaml is one recording."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from components.core.errors import FormatError
from components.formats.mcap import reader


def split(bags: ModuleType, folder: Path, **change: Any) -> Path:
    """Three files of ten messages each, 10 Hz."""
    names = [f"bag_{number}.mcap" for number in range(3)]
    for number, name in enumerate(names):
        times = [bags.EPOCH + n * bags.SECOND // 10 for n in range(number * 10, number * 10 + 10)]
        joints = "sensor_msgs/msg/JointState"
        entries = [("/joints", joints, at, bags.joints(at, [(at - bags.EPOCH) / 1e8, 0])) for at in times]
        entries += [
            ("/cam", "sensor_msgs/msg/CompressedImage", at, bags.compressed(at, bags.jpeg(n)))
            for n, at in enumerate(times)
        ]
        bags.write(folder / name, entries)
    said = {
        "relative_file_paths": names,
        "message_count": 60,
        "topics_with_message_count": [
            {"message_count": 30, "topic_metadata": {"name": "/joints"}},
            {"message_count": 30, "topic_metadata": {"name": "/cam"}},
        ],
        **change,
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": said}))
    return folder


def test_the_files_of_a_bag_are_one_recording(bags: ModuleType, tmp_path: Path) -> None:
    recording = bags.opened(split(bags, tmp_path / "bag"))
    assert recording.problems == ()
    episode = reader.read_part(recording, "")
    np.testing.assert_array_equal(np.round(episode.streams["joints"].values[:, 0]), range(30))
    assert [bags.jpeg(n % 10) for n in range(30)] == list(episode.streams["cam"].values)
    assert episode.provenance.source_uri == "bag"
    listed = reader.fields(recording.path, "", recording.mapping, where="bag")
    assert [(field.name, field.count, round(field.rate_hz)) for field in listed] == [
        ("/cam", 30, 10),
        ("/joints", 30, 10),
    ]


def test_a_span_may_cross_the_files_of_a_bag(bags: ModuleType, tmp_path: Path) -> None:
    recording = bags.opened(split(bags, tmp_path / "bag"))
    part = reader.read_range(recording, "", round(0.8 * bags.SECOND), round(2.2 * bags.SECOND))
    np.testing.assert_array_equal(np.round(part.streams["joints"].values[:, 0]), range(8, 22))
    assert [bags.jpeg(n % 10) for n in range(8, 22)] == list(part.streams["cam"].values)


def test_counts_that_disagree_are_told(bags: ModuleType, tmp_path: Path) -> None:
    entry = {"message_count": 31, "topic_metadata": {"name": "/joints"}}
    folder = split(bags, tmp_path / "bag", message_count=61, topics_with_message_count=[entry])
    problems = bags.opened(folder).problems
    assert [(problem.code, problem.where) for problem in problems] == [("count_mismatch", "bag/metadata.yaml")] * 2
    assert [problem.detail for problem in problems] == [
        "says 61 messages, the files hold 60",
        "says 31 messages of /joints, the files hold 30",
    ]


@pytest.mark.parametrize(
    ("said", "code", "match"),
    [
        (
            {"relative_file_paths": ["bag_0.mcap", "bag_9.mcap"]},
            "missing_file",
            "the file 'bag_9.mcap' of the recording",
        ),
        ({"relative_file_paths": []}, "bad_metadata", "names no files"),
        ({"relative_file_paths": "bag_0.mcap"}, "bad_metadata", "names no files"),
        ({"relative_file_paths": ["../../x.mcap"]}, "bad_metadata", "outside of its folder"),
    ],
)
def test_a_bag_that_lacks_something_is_refused(
    bags: ModuleType, tmp_path: Path, said: dict[str, Any], code: str, match: str
) -> None:
    with pytest.raises(FormatError, match=rf"^bag.*{match}") as caught:
        bags.opened(split(bags, tmp_path / "bag", **said))
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["a: [", "[1, 2]", "\0", "[" * 5000, "a: 2020-13-45"])
def test_metadata_that_is_none_is_refused(bags: ModuleType, tmp_path: Path, text: str) -> None:
    folder = split(bags, tmp_path / "bag")
    (folder / "metadata.yaml").write_text(text)
    with pytest.raises(FormatError, match=r"^bag/metadata\.yaml: ") as caught:
        bags.opened(folder)
    assert caught.value.code == "bad_metadata"


def test_a_file_compressed_as_a_whole_is_named(bags: ModuleType, tmp_path: Path) -> None:
    folder = split(bags, tmp_path / "bag", relative_file_paths=["bag_0.mcap.zstd"])
    (folder / "bag_0.mcap").rename(folder / "bag_0.mcap.zstd")
    with pytest.raises(FormatError, match=r"compressed as a whole. Run `zstd -d bag_0\.mcap\.zstd`") as caught:
        bags.opened(folder)
    assert caught.value.code == "unsupported_compression"


def test_a_damaged_file_of_a_bag_is_named(bags: ModuleType, tmp_path: Path) -> None:
    folder = split(bags, tmp_path / "bag")
    path = folder / "bag_1.mcap"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(FormatError, match=r"^bag/bag_1\.mcap: the file ends too early") as caught:
        bags.opened(folder)
    assert caught.value.code == "truncated"
