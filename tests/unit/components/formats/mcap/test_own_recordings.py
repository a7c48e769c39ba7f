"""Files of the project's own recorder: what they gave before other files could be read, they give still."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import IndexType

from components.core.episode import episode_id
from components.core.errors import EpisodeError, FormatError
from components.formats.images import decode_image
from components.formats.mcap import reader


def test_streams_keep_their_own_sensor_clocks(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(rates_hz={"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10})
    episode = bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo, origin_ns=10**18))
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
    assert episode.streams["action"].names == ("dx", "dy", "dz", "effort")


def test_the_identity_of_an_episode_is_that_of_its_streams(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path
) -> None:
    demo = recordings.make_demo(steps=6)
    one = bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo))
    # Of this recording and every way to lay it out, since the first reader of such files.
    assert episode_id(one) == EPISODE_ID
    whole = tmp_path / "a.mcap"
    for number, options in enumerate(({"use_chunking": False}, {"chunk_size": 300}, {"index_types": IndexType.NONE})):
        other = recordings.copy_mcap(whole, tmp_path / f"{number}.mcap", **options)
        assert episode_id(bags.read(other)) == EPISODE_ID


def test_provenance_task_and_instruction_come_from_the_file(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path
) -> None:
    demo = recordings.make_demo().with_metadata(shift="night")
    episode = bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo))
    said = (episode.task, episode.instruction, episode.embodiment)
    assert said == ("drawer-open", "pull the drawer open", "sawyer-cell")
    origin = episode.provenance
    assert (origin.source_uri, origin.source_sha256, origin.source_format) == ("a.mcap", bags.SHA, "mcap")
    assert (origin.robot_id, origin.site, origin.outcome) == ("cell-1", "site-north", "success")
    assert origin.calibration_digest == "c" * 64
    assert episode.extra == {"shift": "night"}
    assert episode.calibration == {}


def test_camera_frames_stay_encoded_until_decoded(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo()
    frames = bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo)).streams["fixed"].values
    assert frames[0][:2] == b"\xff\xd8"
    decoded = decode_image(frames[0], where="a.mcap")
    assert decoded.shape == (96, 96, 3)
    assert np.abs(decoded.astype(int) - demo.values["fixed"][0].astype(int)).mean() < 8


def test_a_file_that_the_seeking_reader_refuses_is_read(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path
) -> None:
    demo = recordings.make_demo(steps=4)
    whole = recordings.write_mcap(tmp_path / "whole.mcap", demo)
    # A chunk index, but neither schemas nor channels in the summary: valid, and the library raises KeyError.
    options = {"index_types": IndexType.CHUNK, "repeat_channels": False, "repeat_schemas": False}
    bare = recordings.copy_mcap(whole, tmp_path / "bare.mcap", **options)
    with bare.open("rb") as stream, pytest.raises(KeyError):
        list(make_reader(stream).iter_messages())
    np.testing.assert_array_equal(bags.read(bare).streams["hand"].values, demo.values["hand"])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-8], "truncated"),
        (lambda data: data[:-100], "truncated"),
        (lambda data: data[:8], "truncated"),
        (lambda data: b"\0" + data[1:], "bad_magic"),
    ],
    ids=["half", "no trailing magic", "cut in the summary", "magic only", "another magic"],
)
def test_damaged_files_are_refused_with_their_place(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path, damage: Any, code: str
) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FormatError, match=r"a\.mcap") as caught:
        bags.opened(path)
    assert caught.value.code == code


def test_a_hole_in_a_chunk_is_named_with_its_place(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4))
    recording = bags.opened(path)
    data = path.read_bytes()
    path.write_bytes(data[:2000] + bytes(64) + data[2064:])
    with pytest.raises(FormatError, match=r"a\.mcap chunk at byte \d+: ") as caught:
        reader.read_part(recording, "")
    assert caught.value.code == "bad_chunk"


def test_any_flipped_byte_is_read_the_same_or_refused(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=3))
    whole = path.read_bytes()
    good = bags.read(path)
    rng = np.random.default_rng(3)
    refusals = []
    for position in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            again = bags.read(path)
        except FormatError as error:
            refusals.append(str(error))
        else:
            # What the checksums do not cover is not read either.
            np.testing.assert_array_equal(again.streams["hand"].values, good.streams["hand"].values)
    assert len(refusals) > 30
    assert all(refusal.startswith("a.mcap") for refusal in refusals)


def test_topics_that_nobody_reads_may_be_broken(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    # mcap-ros2 raises InvalidFieldDefinition for the dashes in such a schema.
    event = ("/spin/_service_event", "turtle/srv/Spin_Happened", "int32 a\n---\nint32 b\n", b"\0\1\0\0")
    good = recordings.write_mcap(tmp_path / "good.mcap", recordings.make_demo(steps=4))
    path = recordings.copy_mcap(good, tmp_path / "a.mcap", add=[event])
    recording = bags.opened(path)
    assert len(reader.read_part(recording, "").streams) == 7
    fields = {field.name: field for field in reader.fields(path, "", recording.mapping, where="a.mcap")}
    topic = fields["/spin/_service_event"]
    assert (topic.type, topic.count, topic.stream) == ("turtle/srv/Spin_Happened", 1, "")
    assert topic.problem.startswith("bad_schema: ")
    assert [field.problem for name, field in fields.items() if name != topic.name] == [""] * 8


def test_a_garbage_schema_of_a_topic_that_is_read_is_refused(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    garbage = ("/action", "sensor_msgs/msg/JointState", "!! not a message", b"\0\1\0\0")
    good = recordings.write_mcap(tmp_path / "good.mcap", recordings.make_demo(steps=4).without("action"))
    with pytest.raises(FormatError, match=r"a\.mcap /action: cannot be read") as caught:
        bags.read(recordings.copy_mcap(good, tmp_path / "a.mcap", add=[garbage]))
    assert caught.value.code == "bad_schema"
    assert capfd.readouterr().err == ""


def test_missing_topics_are_named(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4).without("wrist"))
    with pytest.raises(EpisodeError, match="no stream 'wrist'"):
        bags.read(path).stream("wrist")


def test_positions_follow_the_names_of_the_action(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "ACTION_NAMES", ["effort", "dz", "dy", "dx"])
        path = recordings.write_mcap(tmp_path / "a.mcap", demo)
    np.testing.assert_array_equal(bags.read(path).streams["action"].values, demo.values["action"][:, ::-1])


def test_unknown_names_of_the_action_are_refused(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "ACTION_NAMES", ["a", "b", "c", "d"])
        path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4))
    with pytest.raises(EpisodeError, match="names a, b, c, d, expected dx, dy, dz, effort") as caught:
        bags.read(path)
    assert caught.value.code == "wrong_names"


def test_a_stream_that_nobody_stamped_is_refused(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    demo = demo.with_times(hand=np.zeros_like(demo.time_ns["hand"]))
    path = recordings.write_mcap(tmp_path / "a.mcap", demo, origin_ns=0)
    with pytest.raises(EpisodeError, match=r"every header stamp of /hand_pose is zero.*`clock: log`") as caught:
        bags.read(path)
    assert caught.value.code == "unstamped"


def test_a_sensor_clock_that_steps_back_is_kept_as_recorded(
    recordings: ModuleType, bags: ModuleType, tmp_path: Path
) -> None:
    demo = recordings.make_demo(steps=8)
    times = demo.time_ns["hand"].copy()
    times[4:] -= 120_000_000
    episode = bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo.with_times(hand=times), origin_ns=10**15))
    np.testing.assert_array_equal(episode.streams["hand"].time_ns, times + 10**15)
    np.testing.assert_array_equal(episode.streams["hand"].values, demo.values["hand"])


def test_no_instruction_is_no_error(recordings: ModuleType, bags: ModuleType, tmp_path: Path) -> None:
    demo = replace(recordings.make_demo(steps=4), instruction="")
    assert bags.read(recordings.write_mcap(tmp_path / "a.mcap", demo)).instruction == ""


# Computed by the reader that knew these files alone.
EPISODE_ID = "864d7f1e4ca1ab23cd404547ac02e21b3751694bf91d38dca5432b8cfd0e262c"
