"""Files that other people's programs wrote: each is read with the counts that are stated, or refused with a reason."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from components.core.errors import FormatError
from components.formats.images import decode_image
from components.formats.inspect import inspect_path
from components.formats.registry import fields, find_sources, open_recording, read_part
from components.formats.source import Found, Recording

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "data"
MANIFEST = SAMPLES / "MANIFEST.tsv"
CONFORMANCE = "mcap/conformance/"

pytestmark = pytest.mark.skipif(
    not MANIFEST.is_file(), reason="the folder of sample recordings is not beside this repository"
)


@dataclass(frozen=True)
class Read:
    """`samples`: of each stream of each episode in order, or one number where all have it. `problems`: their codes."""

    format: str
    dialect: str
    samples: tuple[int | dict[str, int], ...]
    problems: tuple[str, ...] = ()


BRIDGE = "rlds/bridge_dataset/1.0.0/bridge_dataset-val.tfrecord-00000-of-00001"
READ = {
    "bad/mcap/test_bad_schema.mcap": Read("mcap", "ros2", ({"good_data": 10},)),
    "bad/mcap/test_empty_channel.mcap": Read("mcap", "ros2", ({"active_data": 50, "active_status": 50},)),
    "bad/mcap/test_publish_vs_log_time.mcap": Read("mcap", "ros2", ({"sensor_value": 50},)),
    "bad/mcap/test_unsupported_encoding.mcap": Read("mcap", "ros2", ({"ros2_data": 10},)),
    "hdf5/SawyerLift_demo.hdf5": Read("hdf5", "robosuite", (1058, 837)),
    "hdf5/door_panda_demo.hdf5": Read("hdf5", "robosuite", (261,)),
    "hdf5/lift_panda_demo.hdf5": Read("hdf5", "robosuite", (412,)),
    "hdf5/stack_panda_demo.hdf5": Read("hdf5", "robosuite", (532,)),
    # Two of a hundred episodes, 393 and 343 rows and frames.
    "lerobot/v21_unitree_g1": Read("lerobot", "v2.1", (393, 343), ("missing_episodes",)),
    # 3 episodes, 899 rows, although info.json says 14983; its video is not there.
    "lerobot/v30_reachy2_apple": Read("lerobot", "v3.0", (299, 300, 300), ("missing_video", "total_frames")),
    "mcap/json_example.mcap": Read("mcap", "json", (111,)),
    "mcap/rosbag2_2025_09_10-13_03_56_0.mcap": Read(
        "mcap", "ros2", ({"compressed_image": 1, "image": 1, "joint_state": 15},)
    ),
    "mcap/simple-protobuf.mcap": Read("mcap", "json+protobuf", ({"mouse": 292, "pose": 1},)),
    # 25 episodes of 10 steps.
    BRIDGE: Read("rlds", "rlds", (10,) * 25),
}
# Text and test messages: read to their end, but nothing in them is a stream of a robot. Topic -> messages.
MESSAGES = {
    "mcap/rosbag2_py/convert_a": {"a_empty": 100, "b_basictypes": 50},
    "mcap/rosbag2_py/convert_b": {"a_empty": 25, "c_strings": 50},
    "mcap/rosbag2_py/reindex_test_bags/multiple_files/multiple_files_0.mcap": {"/chatter": 1324},
    "mcap/rosbag2_py/reindex_test_bags/multiple_files/multiple_files_1.mcap": {"/chatter": 1324},
    "mcap/rosbag2_py/reindex_test_bags/multiple_files/multiple_files_2.mcap": {"/chatter": 529},
    "mcap/rosbag2_py/talker": {"/parameter_events": 0, "/rosout": 10, "/topic": 10},
    "mcap/rosbag2_py/wbag": {
        "AAA": 804,
        "BBB": 742,
        "CCC": 742,
        "DDD": 753,
        "EEE": 804,
        "FFF": 772,
        "GGG": 731,
        "HHH": 726,
    },
}
REFUSED = {
    "bad/lfs/lfs_pointer_demo.mcap": ("lfs_pointer", "git lfs pull"),
    "bad/lfs/lfs_pointer_episode.mp4": ("lfs_pointer", "git lfs pull"),
    "bad/lfs/lfs_pointer_episode.parquet": ("lfs_pointer", "git lfs pull"),
    "bad/parquet/PARQUET-1481.parquet": ("parquet_alone", "Give the folder of the LeRobot dataset"),
    "bad/parquet/datapage_v1-corrupt-checksum.parquet": ("parquet_alone", "Give the folder of the LeRobot dataset"),
    "bad/parquet/nan_in_stats.parquet": ("parquet_alone", "Give the folder of the LeRobot dataset"),
    "hdf5/dtype_edges/compound-dtype-complex.h5": ("no_episodes", "give a mapping with --map"),
    "hdf5/dtype_edges/vlen_string_dset.h5": ("no_episodes", "give a mapping with --map"),
    "other/mp4/pj_test_av1.mp4": ("video_alone", "Give the folder"),
    "other/mp4/pj_test_h264.mp4": ("video_alone", "Give the folder"),
    "other/mp4/pj_test_h264_bframes.mp4": ("video_alone", "Give the folder"),
    "other/mp4/pj_test_h264_bframes_deep.mp4": ("video_alone", "Give the folder"),
    "other/mp4/pj_test_hevc.mp4": ("video_alone", "Give the folder"),
    "other/mp4/rerun_empty.mp4": ("video_alone", "Give the folder"),
    "other/npz/debug_obs.npz": ("npz", "into an HDF5 file with h5py"),
    "other/ros1_turtlesim.bag": ("ros1_bag", "rosbags-convert --src ros1_turtlesim.bag"),
    "MANIFEST.tsv": ("unknown_format", "Read are HDF5, MCAP, RLDS"),
}
# Beside a source, and part of what is read from it.
SIDECARS = ("metadata.yaml", "features.json", "dataset_info.json", "LICENSE")


def sources() -> dict[str, Found]:
    return {found.uri: found for found in find_sources(SAMPLES)[0]}


def opened(uri: str) -> Recording:
    return open_recording(sources()[uri], sha256="0" * 64)


def counts(recording: Recording, part: str) -> dict[str, int]:
    return {field.name: field.count for field in fields(recording, part)}


def test_every_file_of_the_manifest_has_an_expectation() -> None:
    with MANIFEST.open(newline="") as stream:
        files = [row["file"] for row in csv.DictReader(stream, delimiter="\t")]
    expected = {*READ, *MESSAGES, *REFUSED}
    left = [
        file
        for file in files
        if not file.startswith(CONFORMANCE)
        and Path(file).name not in SIDECARS
        and not any(file == uri or file.startswith(f"{uri}/") for uri in expected)
    ]
    assert len(files) > 200
    assert left == []
    found, broken = find_sources(SAMPLES)
    there = {one.uri for one in found} | {str(error.where) for error in broken}
    assert {uri for uri in there if not uri.startswith(CONFORMANCE)} == expected


@pytest.mark.parametrize("uri", sorted(READ))
def test_it_is_read_with_the_counts_that_are_stated(uri: str) -> None:
    expected, recording = READ[uri], opened(uri)
    assert (recording.format, recording.dialect) == (expected.format, expected.dialect)
    assert sorted(problem.code for problem in recording.problems) == list(expected.problems)
    assert len(recording.parts) == len(expected.samples)
    for part, samples in zip(recording.parts, expected.samples, strict=True):
        episode = read_part(recording, part)
        found = {name: len(stream) for name, stream in episode.streams.items()}
        assert found == (samples if isinstance(samples, dict) else dict.fromkeys(found, samples))
        for stream in episode.of_kind("image"):
            for number in {0, len(stream) // 2, len(stream) - 1}:
                frame: Any = stream.values[number]
                assert decode_image(frame, where=uri).ndim == 3
        for kind in ("action", "state"):
            for stream in episode.of_kind(kind):  # type: ignore[arg-type]
                assert np.isfinite(np.asarray(stream.values)).all()


@pytest.mark.parametrize("uri", sorted(MESSAGES))
def test_every_message_is_counted_and_the_refusal_names_the_topics(uri: str) -> None:
    recording = opened(uri)
    (part,) = recording.parts
    assert counts(recording, part) == MESSAGES[uri]
    with pytest.raises(FormatError, match="none of its topics") as caught:
        read_part(recording, part)
    assert (caught.value.code, caught.value.where) == ("missing_stream", recording.uri_of(part))


@pytest.mark.parametrize("uri", sorted(uri for uri in MESSAGES if (SAMPLES / uri / "metadata.yaml").is_file()))
def test_bags_hold_what_their_metadata_says(uri: str) -> None:
    said = yaml.safe_load((SAMPLES / uri / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    recording = opened(uri)
    assert recording.problems == ()
    assert sum(counts(recording, recording.parts[0]).values()) == said["message_count"]


@pytest.mark.parametrize("uri", sorted(REFUSED))
def test_it_is_refused_with_a_reason(uri: str) -> None:
    code, hint = REFUSED[uri]
    broken = {error.where: error for error in find_sources(SAMPLES)[1]}
    if uri in broken:
        error = broken[uri]
    else:
        with pytest.raises(FormatError, match=Path(uri).name) as caught:
            opened(uri)
        error = caught.value
    assert (error.code, error.where) == (code, uri)
    assert hint in str(error)


def test_all_conformance_files_are_read_to_their_end() -> None:
    """Their names say how many messages each holds; the topic carries three bytes in no encoding of a robot."""
    there = {uri: found for uri, found in sources().items() if uri.startswith(CONFORMANCE)}
    assert len(there) == len(list((SAMPLES / CONFORMANCE).glob("*.mcap"))) > 100
    for uri, found in there.items():
        name = Path(uri).name
        messages = {"One": 1, "Ten": 10}[name[:3]] if "Message" in name else 0
        recording = open_recording(found, sha256="0" * 64)
        (part,) = recording.parts
        assert sum(counts(recording, part).values()) == messages, uri
        assert recording.problems == (), uri
        with pytest.raises(FormatError, match=r"none of its topics|holds no message") as caught:
            read_part(recording, part)
        assert caught.value.code == ("missing_stream" if messages else "no_episodes"), uri


def test_the_whole_folder_is_inspected() -> None:
    report = inspect_path(SAMPLES)
    assert report["format"] == "hdf5+lerobot+mcap+rlds"
    assert report["episodes"] == sum(len(expected.samples) for expected in READ.values())
    said = {problem["where"].split("#")[0]: problem["code"] for problem in report["problems"]}
    assert {uri: code for uri, code in said.items() if uri in REFUSED} == {uri: REFUSED[uri][0] for uri in REFUSED}
    assert all(problem["code"] and problem["where"] and problem["detail"] for problem in report["problems"])
    assert all(0 <= stream["rate_hz"] <= 1e6 for stream in report["streams"])


def test_padding_of_the_bridge_data_is_no_camera() -> None:
    report = inspect_path(SAMPLES / BRIDGE)
    assert (report["episodes"], report["frames"], len(report["tasks"])) == (25, 250, 4)
    assert [problem["code"] for problem in report["problems"]] == ["padding"]
    assert sorted(stream["name"] for stream in report["streams"] if stream["kind"] == "image") == [
        "image_0",
        "image_1",
        "image_2",
    ]


@pytest.mark.parametrize("uri", ["mcap/json_example.mcap", "hdf5/lift_panda_demo.hdf5", BRIDGE])
def test_truncated_samples_are_called_truncated(tmp_path: Path, uri: str) -> None:
    path = tmp_path / Path(uri).name
    whole = (SAMPLES / uri).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert "truncated" in [problem["code"] for problem in inspect_path(path)["problems"]]
