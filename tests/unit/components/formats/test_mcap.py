from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import IndexType, Writer

from components.core.errors import EpisodeError, FormatError
from components.formats import mcap
from components.formats.images import decode_image
from components.formats.inspect import inspect_path

SHA = "0" * 64


def read(path: Path) -> Any:
    return mcap.read_part(path, "", uri=path.name, sha256=SHA)


def test_streams_keep_their_own_sensor_clocks(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(rates_hz={"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10})
    episode = read(recordings.write_mcap(tmp_path / "a.mcap", demo, origin_ns=10**18))
    assert sorted(episode.streams) == sorted(recordings.TOPIC_OF)
    for name, stream in episode.streams.items():
        # Header stamps, not the log times that come 5 ms later.
        np.testing.assert_array_equal(stream.time_ns, demo.time_ns[name] + 10**18)
        if stream.kind != "image":
            np.testing.assert_array_equal(stream.values, demo.values[name])
    assert [round(episode.streams[name].rate_hz) for name in ("fixed", "hand", "gripper", "action")] == [
        30,
        100,
        10,
        20,
    ]


def test_provenance_task_and_instruction_come_from_the_file(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo().with_metadata(shift="night")
    episode = read(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert (episode.task, episode.instruction, episode.embodiment) == (
        "drawer-open",
        "pull the drawer open",
        "sawyer-cell",
    )
    origin = episode.provenance
    assert (origin.source_uri, origin.source_sha256, origin.source_format) == ("a.mcap", SHA, "mcap")
    assert (origin.robot_id, origin.site, origin.outcome) == ("cell-1", "site-north", "success")
    assert episode.extra == {"shift": "night"}


def test_camera_frames_stay_encoded_until_decoded(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo()
    frames = read(recordings.write_mcap(tmp_path / "a.mcap", demo)).streams["fixed"].values
    assert frames[0][:2] == b"\xff\xd8"
    decoded = decode_image(frames[0], where="a.mcap")
    assert decoded.shape == (96, 96, 3)
    error = np.abs(decoded.astype(int) - demo.values["fixed"][0].astype(int))
    assert error.mean() < 8


def test_a_file_that_the_seeking_reader_refuses_is_read(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    whole = recordings.write_mcap(tmp_path / "whole.mcap", demo)
    # A chunk index, but neither schemas nor channels in the summary: valid, and the library raises KeyError.
    options = {"index_types": IndexType.CHUNK, "repeat_channels": False, "repeat_schemas": False}
    bare = recordings.copy_mcap(whole, tmp_path / "bare.mcap", **options)
    with bare.open("rb") as stream, pytest.raises(KeyError):
        list(make_reader(stream).iter_messages())
    np.testing.assert_array_equal(read(bare).streams["hand"].values, demo.values["hand"])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-8], "truncated"),
        (lambda data: data[:-100], "truncated"),
        (lambda data: data[:8], "truncated"),
        (lambda data: data[:200] + bytes(64) + data[264:], "unreadable"),
    ],
    ids=["half", "no trailing magic", "cut in the summary", "magic only", "hole in a chunk"],
)
def test_damaged_files_are_refused_with_their_place(
    recordings: ModuleType, tmp_path: Path, damage: Any, code: str
) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FormatError, match=r"a\.mcap") as caught:
        read(path)
    assert caught.value.code == code


def test_any_flipped_byte_is_read_the_same_or_refused(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=3))
    whole = path.read_bytes()
    good = read(path)
    rng = np.random.default_rng(3)
    accounted = 0
    for position in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            again = read(path)
        except FormatError as error:
            accounted += str(error).startswith("a.mcap")
        else:
            # What the checksums do not cover is not read either.
            accounted += 1
            np.testing.assert_array_equal(again.streams["hand"].values, good.streams["hand"].values)
    assert accounted == 60


def test_topics_that_nobody_reads_may_be_broken(recordings: ModuleType, tmp_path: Path) -> None:
    # A service event: mcap-ros2 raises InvalidFieldDefinition for the dashes in its schema.
    event = ("/spin/_service_event", "turtle/srv/Spin_Event", "int32 a\n---\nint32 b\n", b"\0\1\0\0")
    good = recordings.write_mcap(tmp_path / "good.mcap", recordings.make_demo(steps=4))
    path = recordings.copy_mcap(good, tmp_path / "a.mcap", add=[event])
    assert len(read(path).streams) == 7
    (topic,) = [topic for topic in inspect_path(path)["streams"] if topic["kind"] == "unmapped"]
    assert (topic["name"], topic["dtype"]) == ("/spin/_service_event", "turtle/srv/Spin_Event")


def test_a_garbage_schema_of_a_topic_that_is_read_is_refused(recordings: ModuleType, tmp_path: Path) -> None:
    garbage = ("/action", "sensor_msgs/msg/JointState", "!! not a message", b"\0\1\0\0")
    good = recordings.write_mcap(tmp_path / "good.mcap", recordings.make_demo(steps=4).without("action"))
    with pytest.raises(FormatError, match=r"a\.mcap /action: cannot be read") as caught:
        read(recordings.copy_mcap(good, tmp_path / "a.mcap", add=[garbage]))
    assert caught.value.code == "unreadable"


def test_missing_topics_are_named(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    path = recordings.write_mcap(tmp_path / "a.mcap", demo.without("wrist"))
    with pytest.raises(EpisodeError, match="no stream 'wrist'"):
        read(path).stream("wrist")


def _foreign(path: Path, topics: list[str]) -> Path:
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        for topic in topics:
            channel = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channel, 1, b"\0\1\0\0\2\0\0\0a\0", 1)
        writer.finish()
    return path


def test_a_recording_of_something_else_is_refused_by_its_topics(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none of its topics \(/chatter\)") as caught:
        read(_foreign(tmp_path / "a.mcap", ["/chatter"]))
    assert caught.value.code == "missing_stream"


def test_a_recording_without_messages_has_no_episode(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no message") as caught:
        read(_foreign(tmp_path / "a.mcap", []))
    assert caught.value.code == "no_episodes"


def test_a_topic_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="/action holds std_msgs/String messages, expected sensor_msgs/JointState"):
        read(_foreign(tmp_path / "a.mcap", ["/action"]))


def test_positions_follow_the_names_of_the_action(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "ACTION_NAMES", ["effort", "dz", "dy", "dx"])
        path = recordings.write_mcap(tmp_path / "a.mcap", demo)
    np.testing.assert_array_equal(read(path).streams["action"].values, demo.values["action"][:, ::-1])


def test_unknown_names_of_the_action_are_refused(recordings: ModuleType, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "ACTION_NAMES", ["a", "b", "c", "d"])
        path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4))
    with pytest.raises(EpisodeError, match="names a, b, c, d, expected dx, dy, dz, effort") as caught:
        read(path)
    assert caught.value.code == "wrong_names"


def test_a_stream_that_nobody_stamped_is_refused(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    demo = demo.with_times(hand=np.zeros_like(demo.time_ns["hand"]))
    path = recordings.write_mcap(tmp_path / "a.mcap", demo, origin_ns=0)
    with pytest.raises(EpisodeError, match="every header stamp of /hand_pose is zero") as caught:
        read(path)
    assert caught.value.code == "unstamped"


def test_a_sensor_clock_that_steps_back_is_kept_as_recorded(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=8)
    times = demo.time_ns["hand"].copy()
    times[4:] -= 120_000_000
    episode = read(recordings.write_mcap(tmp_path / "a.mcap", demo.with_times(hand=times), origin_ns=10**15))
    np.testing.assert_array_equal(episode.streams["hand"].time_ns, times + 10**15)
    np.testing.assert_array_equal(episode.streams["hand"].values, demo.values["hand"])


def test_no_instruction_is_no_error(recordings: ModuleType, tmp_path: Path) -> None:
    demo = replace(recordings.make_demo(steps=4), instruction="")
    assert read(recordings.write_mcap(tmp_path / "a.mcap", demo)).instruction == ""
