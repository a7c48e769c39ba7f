"""What each dialect makes of a file in its own layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.episode import CONTROL_SOURCES, Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.hdf5 import reader
from components.formats.images import decode_image
from components.formats.mapping import Mapping, StreamRule

Read = Callable[..., Episode]


def kinds(episode: Episode) -> dict[str, str]:
    return {name: stream.kind for name, stream in sorted(episode.streams.items())}


def upright(episode: Episode, name: str, channel: int) -> bool:
    """Whether a frame is brighter above than below, and mostly of the colour that was painted."""
    image = decode_image(episode.streams[name].values[0], where="").astype(int)  # type: ignore[arg-type]
    half = len(image) // 2
    means = image.mean(axis=(0, 1))
    return bool(image[:half].mean() > image[half:].mean() and means.argmax() == channel)


def test_robomimic(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5", (6, 7), compression="gzip")
    opened = reader.open_source(path, None, where="a.hdf5")
    assert (opened.dialect, opened.parts) == ("robomimic", ("demo_0", "demo_1"))
    episode = read(path, "demo_1")
    assert kinds(episode) == {
        "action": "action",
        "agentview_depth": "depth",
        "agentview_image": "image",
        "robot0_ee_force": "force",
        "robot0_eef_pos": "state",
    }
    assert (episode.task, episode.instruction, episode.rate_hz) == ("Lift", "", 20.0)
    assert episode.extra == {"clock": "assumed", "mask": "valid", "num_samples": "7"}
    assert episode.calibration["cameras"]["agentview"]["intrinsics"] == np.eye(3).tolist()
    assert upright(episode, "agentview_image", 0)
    depth = episode.streams["agentview_depth"].values
    assert (depth[0].dtype, depth[0].shape) == (np.uint16, (8, 8))  # type: ignore[union-attr]
    assert (depth[0][0, 0], depth[6][-1, -1]) == (500, 2000)  # type: ignore[index]


def test_the_rate_of_the_environment_is_the_assumed_one(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": 10}})
    assert read(path, "demo_0").rate_hz == 10.0
    with h5py.File(path, "r+") as file:
        file["data"].attrs["env_args"] = "{half a "
    with pytest.raises(FormatError, match="@env_args: cannot be read") as caught:
        read(path, "demo_0")
    assert caught.value.code == "bad_attribute"


def test_a_damaged_mask_is_a_problem_of_the_file_and_not_of_its_episodes(
    layouts: ModuleType, tmp_path: Path, read: Read
) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        del file["mask/train"]
        file["mask/train"] = h5py.ExternalLink("other.hdf5", "x")
    opened = reader.open_source(path, None, where="a.hdf5")
    assert [(problem.code, problem.where) for problem in opened.problems] == [("external_data", "a.hdf5#mask/train")]
    assert (read(path, "demo_0").extra.get("mask"), read(path, "demo_1").extra["mask"]) == (None, "valid")


def test_streams_of_different_lengths_need_a_clock(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        del file["data/demo_0/obs/robot0_eef_pos"]
        file["data/demo_0/obs/robot0_eef_pos"] = np.zeros((5, 3))
    with pytest.raises(EpisodeError, match="has 5 samples, others 6") as caught:
        read(path, "demo_0")
    assert caught.value.code == "length_mismatch"


@pytest.mark.parametrize("convention", ["opengl", "opencv"])
def test_libero(layouts: ModuleType, tmp_path: Path, read: Read, convention: str) -> None:
    path = layouts.write_libero(tmp_path / "a.hdf5", convention=convention)
    assert reader.open_source(path, None, where="a.hdf5").dialect == "libero"
    episode = read(path, "demo_1")
    assert (episode.instruction, episode.task) == (layouts.INSTRUCTION, "put_the_bowl_on_the_plate")
    assert (episode.rate_hz, episode.extra["clock"]) == (20.0, "assumed")
    # The depth buffer of the renderer is no distance.
    assert {name for name, kind in kinds(episode).items() if kind != "state"} == {
        "action",
        "agentview_rgb",
        "eye_in_hand_rgb",
    }
    assert {"ee_states", "joint_states", "gripper_states"} <= set(episode.streams)
    assert upright(episode, "agentview_rgb", 0)
    assert upright(episode, "eye_in_hand_rgb", 1)


def test_libero_before_it_is_rendered_has_the_clock_of_the_simulator(
    layouts: ModuleType, tmp_path: Path, read: Read
) -> None:
    path = layouts.write_robosuite(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["problem_info"] = json.dumps({"language_instruction": ["pick", "it", "up"]})
    episode = read(path, "demo_1")
    assert reader.open_source(path, None, where="a.hdf5").dialect == "libero"
    assert (episode.instruction, sorted(episode.streams)) == ("pick it up", ["action", "joint_torques", "states"])
    assert (episode.streams["states"].time_ns[0], "clock" in episode.extra) == (52_000_000, False)


@pytest.mark.parametrize(
    ("told", "code"), [("{half", "bad_attribute"), ('{"language_instruction": 3}', "bad_instruct")]
)
def test_libero_without_its_words_is_refused(
    layouts: ModuleType, tmp_path: Path, read: Read, told: str, code: str
) -> None:
    path = layouts.write_libero(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["problem_info"] = told
    with pytest.raises(FormatError, match="problem_info") as caught:
        read(path, "demo_0")
    assert caught.value.code.startswith(code)


@pytest.mark.parametrize("compress", [False, True])
def test_aloha(layouts: ModuleType, tmp_path: Path, read: Read, compress: bool) -> None:
    path = layouts.write_aloha(tmp_path / "episode_0.hdf5", 6, compress=compress)
    opened = reader.open_source(path, None, where=path.name)
    assert (opened.dialect, opened.parts) == ("aloha", ("",))
    episode = read(path)
    assert kinds(episode) == {
        "action": "action",
        "base_action": "action",
        "cam_high": "image",
        "cam_low_depth": "depth",
        "cam_wrist": "image",
        "effort": "force",
        "qpos": "state",
        "qvel": "state",
    }
    assert episode.provenance.source_uri == "episode_0.hdf5"
    assert (episode.rate_hz, episode.extra, episode.instruction) == (50.0, {"clock": "assumed"}, "")
    np.testing.assert_array_equal(episode.streams["action"].time_ns, np.arange(6) * 20_000_000)
    assert upright(episode, "cam_high", 0)
    assert upright(episode, "cam_wrist", 1)
    assert (np.asarray(episode.streams["cam_low_depth"].values[5]) == 700).all()


def test_padding_and_lengths_of_aloha_do_not_matter(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    """A JPEG in the order of the standard comes as the bytes that were stored, whatever `compress_len` says."""
    path = layouts.write_aloha(tmp_path / "episode_0.hdf5", 3, compress=True)
    with h5py.File(path, "r+") as file:
        file["compress_len"][...] = 17.0
        stored = file["observations/images/cam_high"][2].tobytes()
    plain = Mapping(name="own", streams={"cam": StreamRule(source="observations/images/cam_high", kind="image")})
    frame = read(path, "", plain).streams["cam"].values[2]
    assert isinstance(frame, bytes)
    assert stored.startswith(frame)
    assert frame.endswith(b"\xff\xd9")


def test_droid(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    folder = layouts.write_droid(tmp_path / "episode")
    opened = reader.open_source(folder, None, where="episode")
    assert (opened.dialect, opened.parts, opened.problems) == ("droid", ("",), ())
    episode = read(folder)
    assert (episode.task, episode.provenance.outcome) == ("Move object", "success")
    assert (episode.provenance.robot_id, episode.provenance.collector_id, episode.provenance.site) == (
        "panda-1",
        "abc",
        "L",
    )
    assert episode.provenance.scene == "4711"
    assert "clock" not in episode.extra
    assert not any(key.endswith("_path") for key in episode.extra)
    cameras = [stream.name for stream in episode.of_kind("image")]
    assert cameras == ["hand_camera", "varied_camera_1", "varied_camera_2"]
    origin = layouts.T0_MS * 10**6
    assert episode.streams["action_joint_position"].time_ns[1] == origin + 66_000_000
    assert episode.streams["joint_positions"].time_ns[0] == origin + 1_000_000
    assert episode.streams["varied_camera_1"].time_ns[0] == origin - 21_000_000
    control = np.asarray(episode.streams["control"].values)[:, 0]
    assert [CONTROL_SOURCES[int(index)] for index in control] == ["reset"] + ["human"] * 5
    for channel, name in enumerate(cameras):
        frames = list(episode.streams[name].values)
        assert len(frames) == 6
        assert upright(episode, name, channel)
        assert float(np.mean(frames[5])) > float(np.mean(frames[0]))


def test_calibration_of_droid_is_what_does_not_move(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    first, second, third = layouts.SERIALS
    cameras = read(layouts.write_droid(tmp_path / "episode")).calibration["cameras"]
    assert set(cameras) == {f"{first}_left_gripper_offset", f"{second}_left", f"{third}_left"}
    assert cameras[f"{second}_left"]["extrinsics"] == pytest.approx(np.arange(6) / 10 + 1)
    assert cameras[f"{second}_left"]["intrinsics"] == np.eye(3).tolist()


def test_the_file_of_a_droid_episode_alone_lacks_its_cameras(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_droid(tmp_path / "episode") / "trajectory.h5"
    (problem,) = reader.open_source(path, None, where="trajectory.h5").problems
    assert (problem.code, "folder" in problem.detail) == ("missing_stream", True)
    episode = read(path)
    assert not episode.of_kind("image")
    assert episode.provenance.outcome == "success"


def test_a_droid_video_that_ends_early_has_fewer_frames(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    folder = layouts.write_droid(tmp_path / "episode")
    layouts.write_mp4(folder / "recordings" / "MP4" / f"{layouts.SERIALS[1]}.mp4", layouts.pictures(4))
    stream = read(folder).streams["varied_camera_1"]
    assert (len(stream), len(list(stream.values))) == (4, 4)


def _damage(video: Path) -> None:
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])


def _failed(folder: Path) -> None:
    with h5py.File(folder / "trajectory.h5", "r+") as file:
        file.attrs["success"], file.attrs["failure"] = False, True
        file["observation/controller_info/success"][...] = False


def test_a_damaged_video_of_droid_is_named(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    folder = layouts.write_droid(tmp_path / "episode")
    _damage(folder / "recordings" / "MP4" / f"{layouts.SERIALS[1]}.mp4")
    with pytest.raises(FormatError, match=rf"episode#recordings/MP4/{layouts.SERIALS[1]}\.mp4") as caught:
        read(folder)
    assert caught.value.code == "bad_video"


def test_failure_of_droid_is_an_outcome(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    folder = layouts.write_droid(tmp_path / "episode", metadata=False)
    _failed(folder)
    assert read(folder).provenance.outcome == "failure"


def test_metadata_of_droid_that_is_no_json_is_named(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    folder = layouts.write_droid(tmp_path / "episode")
    (folder / "metadata_L+abc+2023.json").write_text("[1, 2")
    with pytest.raises(FormatError, match="metadata_L") as caught:
        read(folder)
    assert caught.value.code == "bad_metadata"


@pytest.mark.parametrize(
    ("generation", "parts", "streams"),
    [
        ("1.0", ("demo_1", "demo_2"), {"action": "action", "joint_torques": "action", "states": "state"}),
        (
            "0.1",
            ("demo1", "demo2"),
            {"gripper_actuations": "action", "joint_velocities": "action", "right_dpos": "action", "states": "state"},
        ),
        ("states", ("demo1", "demo2"), {"states": "state"}),
    ],
)
def test_robosuite_of_every_generation(
    layouts: ModuleType, tmp_path: Path, read: Read, generation: str, parts: tuple[str, ...], streams: dict[str, str]
) -> None:
    path = layouts.write_robosuite(tmp_path / "demo.hdf5", generation=generation)
    opened = reader.open_source(path, None, where="demo.hdf5")
    assert (opened.dialect, opened.parts) == ("robosuite", parts)
    episode = read(path, parts[0])
    assert kinds(episode) == streams
    assert episode.streams["states"].time_ns[:2].tolist() == [52_000_000, 102_000_000]
    assert (episode.task, episode.instruction) == ("Lift", "")
    assert episode.provenance.recorded_at == "2020-09-04T13:47:11"
    assert "clock" not in episode.extra


def test_states_that_do_not_go_forward_are_no_clock(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robosuite(tmp_path / "demo.hdf5")
    with h5py.File(path, "r+") as file:
        states: Any = file["data/demo_1/states"]
        states[:, 0] = 0.0
    with pytest.raises(EpisodeError, match="never goes forward") as caught:
        read(path, "demo_1")
    assert caught.value.code == "bad_time"


def test_demos_of_nobody_known_are_guessed_at_with_the_clock_that_they_hold(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        for number in range(3):
            demo = file.create_group(f"data/episode{number}")
            demo["action"], demo["timestamps"] = np.zeros((4, 2)), np.arange(4) / 8
            demo.attrs["language"] = "wave"
    opened = reader.open_source(path, None, where="a.hdf5")
    assert (opened.dialect, opened.parts) == ("hdf5", ("episode0", "episode1", "episode2"))
    episode = read(path, "episode1")
    assert (episode.rate_hz, episode.instruction, episode.extra) == (8.0, "wave", {})


def test_what_most_demos_say_rules_the_guess(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5", (4, 5, 6))
    with h5py.File(path, "r+") as file:
        del file["data/demo_0/obs/agentview_image"]
        file["data/demo_0/obs/agentview_image"] = np.zeros((4, 16), np.float32)
    assert [read(path, part).streams["agentview_image"].kind for part in ("demo_1", "demo_2")] == ["image", "image"]
    with pytest.raises(EpisodeError, match=r"'obs/agentview_image' is float32 \[4, 16\]"):
        read(path, "demo_0")
