"""Both writers, read back by the readers of the house and by the formats' own libraries."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from components.core.episode import Episode, episode_id
from components.core.errors import InputError
from components.formats.registry import read
from components.record.faults import apply_fault
from components.record.hdf5_writer import hdf5_bytes
from components.record.mcap_writer import mcap_bytes


def _read_back(folder: Path, name: str, data: bytes) -> list[Episode]:
    (folder / name).write_bytes(data)
    return list(read(folder / name))


def _described_alike(left: Episode, right: Episode) -> bool:
    ours, theirs = (replace(e.provenance, source_uri="", source_sha256="", source_format="") for e in (left, right))
    return ours == theirs and (left.task, left.instruction, left.embodiment) == (
        right.task,
        right.instruction,
        right.embodiment,
    )


def test_mcap_gives_back_every_sample_and_its_sensor_time(make_episode: Any, tmp_path: Path) -> None:
    episode = make_episode(shared_clock=False)
    (found,) = _read_back(tmp_path, "a.mcap", mcap_bytes(episode))
    assert _described_alike(found, episode)
    for name in ("joints", "hand", "gripper", "action", "action_executed"):
        assert np.array_equal(found.stream(name).time_ns, episode.stream(name).time_ns)
        assert np.array_equal(found.stream(name).values, episode.stream(name).values)
    for name in ("fixed", "wrist"):
        assert np.array_equal(found.stream(name).time_ns, episode.stream(name).time_ns)


def test_hdf5_gives_back_every_sample_and_its_sensor_time(make_episode: Any, tmp_path: Path) -> None:
    episodes = [make_episode(shared_clock=True, steps=steps) for steps in (12, 20)]
    found = _read_back(tmp_path, "a.hdf5", hdf5_bytes(episodes))
    assert [one.provenance.source_uri for one in found] == ["a.hdf5#demo_0", "a.hdf5#demo_1"]
    for one, episode in zip(found, episodes, strict=True):
        assert _described_alike(one, episode)
        for name in ("fixed", "wrist", "joints", "hand", "gripper", "action", "action_executed"):
            expected = episode.stream(name)
            assert np.array_equal(one.stream(name).time_ns, expected.time_ns - expected.time_ns[0])
            assert np.array_equal(np.array(one.stream(name).values), np.array(expected.values))


def test_one_recording_has_one_identity_in_both_formats(make_episode: Any, tmp_path: Path) -> None:
    episode = make_episode(shared_clock=True)
    (left,) = _read_back(tmp_path, "a.mcap", mcap_bytes(episode))
    (right,) = _read_back(tmp_path, "a.hdf5", hdf5_bytes([episode]))
    assert episode_id(left) == episode_id(right)


def test_mcap_is_a_ros2_bag_that_the_reference_reader_decodes(make_episode: Any) -> None:
    episode = make_episode(shared_clock=False)
    data = mcap_bytes(episode)
    reader = make_reader(io.BytesIO(data), validate_crcs=True, decoder_factories=[DecoderFactory()])
    assert reader.get_header().profile == "ros2"
    summary = reader.get_summary()
    assert summary is not None
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
    assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}
    assert {channel.message_encoding for channel in summary.channels.values()} == {"cdr"}
    (metadata,) = reader.iter_metadata()
    assert metadata.name == "episode"
    by_topic: dict[str, list[Any]] = {}
    for _, channel, _, message in reader.iter_decoded_messages():
        by_topic.setdefault(channel.topic, []).append(message)
    assert by_topic["/instruction"][0].data == "open the drawer"
    assert by_topic["/joint_states"][0].name == [f"right_j{n}" for n in range(7)]
    assert by_topic["/action"][0].name == ["dx", "dy", "dz", "effort"]
    pose = by_topic["/hand_pose"][3].pose
    assert [pose.position.x, pose.position.y, pose.position.z] == episode.stream("hand").values[3].tolist()
    assert pose.orientation.w == episode.stream("hand_orientation").values[3][3]
    image = by_topic["/camera/wrist/compressed"][0]
    assert (image.format, image.header.frame_id) == ("jpeg", "camera_wrist_optical")
    assert bytes(image.data).startswith(b"\xff\xd8")


def test_a_clock_that_goes_back_keeps_the_order_in_which_messages_arrived(make_episode: Any, tmp_path: Path) -> None:
    episode = apply_fault(make_episode(shared_clock=False), "clock_backwards", np.random.default_rng(0))
    data = mcap_bytes(episode)
    arrivals = [message.log_time for *_, message in make_reader(io.BytesIO(data)).iter_messages()]
    assert len(set(arrivals)) > 250
    (found,) = _read_back(tmp_path, "a.mcap", data)
    for name in ("hand", "fixed", "action"):
        assert np.array_equal(found.stream(name).time_ns, episode.stream(name).time_ns)


def test_an_episode_without_words_has_no_instruction_message(make_episode: Any, tmp_path: Path) -> None:
    silent = apply_fault(make_episode(shared_clock=True), "missing_language", np.random.default_rng(0))
    topics = {channel.topic for _, channel, _ in make_reader(io.BytesIO(mcap_bytes(silent))).iter_messages()}
    assert "/instruction" not in topics
    assert "/action" in topics
    (found,) = _read_back(tmp_path, "a.hdf5", hdf5_bytes([silent]))
    assert found.instruction == ""


def test_hdf5_has_the_layout_of_robomimic(make_episode: Any) -> None:
    episodes = [make_episode(shared_clock=True, steps=steps) for steps in (12, 20)]
    with h5py.File(io.BytesIO(hdf5_bytes(episodes)), "r") as file:
        data = file["data"]
        assert data.attrs["total"] == 32
        assert json.loads(data.attrs["env_args"])["env_name"] == "drawer-open-v3"
        demo = data["demo_1"]
        assert demo.attrs["num_samples"] == 20
        assert demo["obs/agentview_image"].shape == (20, 96, 96, 3)
        assert demo["obs/agentview_image"].dtype == np.uint8
        assert demo["obs/agentview_image"].compression == "gzip"
        assert demo["obs/robot0_eef_pos"].shape == (20, 3)
        assert demo["obs/robot0_gripper_qpos"].shape == (20, 1)
        assert demo["dones"][:].tolist() == [0] * 19 + [1]
        assert demo["rewards"][:].sum() == 1.0
        assert demo["time"][0] == 0.0


@pytest.mark.parametrize("shared_clock", [True, False])
def test_the_same_episode_gives_the_same_bytes(make_episode: Any, shared_clock: bool) -> None:
    write = (lambda episode: hdf5_bytes([episode, episode])) if shared_clock else mcap_bytes
    first = write(make_episode(shared_clock=shared_clock))
    # Libraries that store the time of writing store whole seconds.
    time.sleep(1.1)
    assert write(make_episode(shared_clock=shared_clock)) == first


def test_hdf5_refuses_streams_with_clocks_of_their_own(make_episode: Any) -> None:
    with pytest.raises(InputError, match=r"stream 'fixed' has a clock of its own.* Write this episode as MCAP"):
        hdf5_bytes([make_episode(shared_clock=False)])
