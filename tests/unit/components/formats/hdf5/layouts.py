"""Small HDF5 files, written to the original layouts; no sample recorded by the original programs is among them.

robomimic: scripts/dataset_states_to_obs.py. LIBERO: scripts/create_dataset.py. ALOHA: record_sim_episodes.py and, for
compressed files, act-plus-plus compress_data.py. DROID: droid/trajectory_utils/trajectory_writer.py. robosuite:
wrappers/data_collection_wrapper.py and scripts/collect_human_demonstrations.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
from PIL import Image

INSTRUCTION = "put the bowl on the plate"
SERIALS = ("11111111", "22222222", "33333333")
T0_MS = 1_690_000_000_000


def picture(index: int, *, px: int = 16, channel: int = 0) -> np.ndarray:
    """uint8 [px, px, 3]: mostly of one colour, brighter in its upper half, and a little different for each index."""
    image = np.full((px, px, 3), 10, np.uint8)
    image[..., channel] = 100 + 10 * index
    image[: px // 2, :, channel] += 80
    return image


def pictures(steps: int, *, px: int = 16, channel: int = 0) -> np.ndarray:
    return np.stack([picture(index, px=px, channel=channel) for index in range(steps)])


def numbers(steps: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, width))


def write_robomimic(
    path: Path, steps: Sequence[int] = (6, 7), *, compression: str | None = None, libver: str = "earliest"
) -> Path:
    """Images upright, depth in metres [T, H, W, 1], `mask` with train and valid, cameras in `camera_info`."""
    with h5py.File(path, "w", libver=libver) as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(steps)
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20}})
        for number, count in enumerate(steps):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = count
            demo.attrs["model_file"] = "<mujoco/>" * 500
            camera = {"intrinsics": np.eye(3).tolist(), "extrinsics": np.eye(4).tolist()}
            demo.attrs["camera_info"] = json.dumps({"agentview": camera})
            demo["actions"] = numbers(count, 7, seed=number)
            demo["states"] = numbers(count, 32, seed=number)
            demo["rewards"], demo["dones"] = np.zeros(count), np.zeros(count, np.int64)
            for group in ("obs", "next_obs"):
                obs = demo.create_group(group)
                options = {"compression": compression} if compression else {}
                obs.create_dataset("agentview_image", data=pictures(count), **options)
                depth = np.linspace(0.5, 2.0, count * 64).reshape(count, 8, 8, 1)
                obs.create_dataset("agentview_depth", data=depth.astype(np.float32), **options)
                obs["robot0_eef_pos"] = numbers(count, 3, seed=10 + number)
                obs["robot0_ee_force"] = numbers(count, 3, seed=20 + number)
        file["mask/train"] = np.array([b"demo_0"])
        file["mask/valid"] = np.array([f"demo_{n}".encode() for n in range(1, len(steps))] or [b"none"])
    return path


def write_libero(path: Path, steps: Sequence[int] = (6, 7), *, convention: str = "opengl") -> Path:
    """`convention`: "opengl" files have the first row of an image at the bottom."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_name"] = "Libero_Kitchen_Tabletop_Manipulation"
        data.attrs["problem_info"] = json.dumps(
            {"problem_name": "libero_kitchen", "domain_name": "robosuite", "language_instruction": INSTRUCTION}
        )
        data.attrs["macros_image_convention"] = convention
        data.attrs["bddl_file_name"] = "libero/bddl_files/libero_goal/put_the_bowl_on_the_plate.bddl"
        data.attrs["bddl_file_content"] = "(define (problem X))"
        data.attrs["env_args"] = json.dumps({"type": 1, "env_kwargs": {"control_freq": 20}})
        data.attrs["num_demos"], data.attrs["total"] = len(steps), sum(steps)
        for number, count in enumerate(steps):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"], demo.attrs["init_state"] = count, np.zeros(77)
            obs = demo.create_group("obs")
            turn = slice(None, None, -1) if convention == "opengl" else slice(None)
            obs["agentview_rgb"] = pictures(count)[:, turn]
            obs["eye_in_hand_rgb"] = pictures(count, channel=1)[:, turn]
            obs["agentview_depth"] = np.full((count, 16, 16, 1), 0.99, np.float32)
            for name, width in (("gripper_states", 2), ("joint_states", 7), ("ee_states", 6)):
                obs[name] = numbers(count, width, seed=number + width)
            obs["ee_pos"], obs["ee_ori"] = obs["ee_states"][:, :3], obs["ee_states"][:, 3:]
            demo["actions"] = numbers(count, 7, seed=number)
            demo["states"], demo["robot_states"] = numbers(count, 77), numbers(count, 9)
            demo["dones"] = demo["rewards"] = np.arange(count) == count - 1
    return path


def jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_aloha(path: Path, steps: int = 6, *, compress: bool = False) -> Path:
    """Cameras cam_high (red), cam_low_depth (uint16, always raw) and cam_wrist (green).

    Compressed: OpenCV takes RGB for BGR, so red and blue are swapped in the JPEGs; rows are padded with zeros;
    `compress_len` is float32 and has a row for each camera that is not `_depth`, here two for three cameras.
    """
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        for name, width in (("qpos", 14), ("qvel", 14), ("effort", 14)):
            file[f"observations/{name}"] = numbers(steps, width, seed=width)
        file["action"], file["base_action"] = numbers(steps, 14, seed=3), numbers(steps, 2, seed=4)
        file["observations/images/cam_low_depth"] = np.full((steps, 8, 8), 700, np.uint16)
        cameras = {"cam_high": pictures(steps), "cam_wrist": pictures(steps, px=32, channel=1)}
        if not compress:
            for name, frames in cameras.items():
                file.create_dataset(f"observations/images/{name}", data=frames, chunks=(1, *frames.shape[1:]))
            return path
        file.attrs["compress"] = True
        lengths = []
        for name, frames in sorted(cameras.items()):
            encoded = [jpeg(frame[..., ::-1]) for frame in frames]
            lengths.append([len(one) for one in encoded])
            rows = file.create_dataset(f"observations/images/{name}", (steps, max(lengths[-1]) + 5), "uint8")
            for index, one in enumerate(encoded):
                rows[index, : len(one)] = np.frombuffer(one, np.uint8)
        file.create_dataset("compress_len", (len(lengths), steps), "f4")[...] = lengths
    return path


def write_mp4(path: Path, frames: np.ndarray, *, codec: str = "mpeg4") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(15))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_droid(folder: Path, steps: int = 6, *, metadata: bool = True, cameras: int = 3) -> Path:
    """Cameras (the first on the hand), step 0 skipped by the operator, stamps in ms with a slow camera."""
    folder.mkdir(parents=True, exist_ok=True)
    tick = np.arange(steps) * 66
    with h5py.File(folder / "trajectory.h5", "w") as file:
        for key, value in (("success", True), ("failure", False), ("building", "B1"), ("time", "noon")):
            file.attrs[key] = value
        for name in ("cartesian_position", "cartesian_velocity", "target_cartesian_position"):
            file[f"action/{name}"] = numbers(steps, 6, seed=len(name))
        for name in ("joint_position", "joint_velocity"):
            file[f"action/{name}"] = numbers(steps, 7, seed=len(name))
        for name in ("gripper_position", "gripper_velocity"):
            file[f"action/{name}"] = numbers(steps, 1, seed=len(name))[:, 0]
        file["action/robot_state/gripper_position"] = np.zeros(steps)
        state = file.create_group("observation/robot_state")
        state["cartesian_position"], state["joint_positions"] = numbers(steps, 6), numbers(steps, 7)
        state["gripper_position"] = np.linspace(0, 1, steps)
        state["motor_torques_measured"] = numbers(steps, 7)
        state["prev_command_successful"] = np.ones(steps, bool)
        stamps = file.create_group("observation/timestamp")
        stamps["robot_state/read_start"] = T0_MS + tick + 1
        stamps["control/step_start"] = T0_MS + tick
        stamps["skip_action"] = np.arange(steps) == 0
        info = file.create_group("observation/controller_info")
        info["success"] = np.arange(steps) == steps - 1
        info["failure"], info["movement_enabled"] = np.zeros(steps, bool), np.arange(steps) > 0
        for number, serial in enumerate(SERIALS[:cameras]):
            stamps[f"cameras/{serial}_estimated_capture"] = T0_MS + tick - 20 - number
            file[f"observation/camera_type/{serial}"] = np.full(steps, min(number, 1))
            fixed = np.tile(np.arange(6) / 10 + number, (steps, 1))
            moving = numbers(steps, 6, seed=number)
            file[f"observation/camera_extrinsics/{serial}_left"] = fixed if number else moving
            write_mp4(folder / "recordings" / "MP4" / f"{serial}.mp4", pictures(steps, channel=number))
        file[f"observation/camera_extrinsics/{SERIALS[0]}_left_gripper_offset"] = np.tile(np.arange(6.0), (steps, 1))
        file[f"observation/camera_intrinsics/{SERIALS[cameras // 2]}_left"] = np.tile(np.eye(3), (steps, 1, 1))
    write_mp4(folder / "recordings" / "MP4" / f"{SERIALS[0]}-stereo.mp4", pictures(steps))
    if metadata:
        told = {
            "uuid": "L+abc+2023",
            "lab": "L",
            "user_id": "abc",
            "scene_id": 4711,
            "current_task": "Move object",
            "success": True,
        }
        told["robot_serial"], told["hdf5_path"] = "panda-1", "L/success/2023/trajectory.h5"
        (folder / "metadata_L+abc+2023.json").write_text(json.dumps(told))
    return folder


def write_robosuite(path: Path, steps: Sequence[int] = (6, 7), *, generation: str = "1.0") -> Path:
    """`generation`: "1.0" (actions), "0.1" (commands by name, some of width 0) or "states" (nothing else)."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        told = {"date": "9-4-2020", "time": "13:47:11", "env": "Lift", "repository_version": generation}
        for key, value in told.items():
            data.attrs[key] = value
        if generation == "1.0":
            data.attrs["env_info"] = json.dumps({"env_name": "Lift", "robots": "Panda", "control_freq": 20})
        for number, count in enumerate(steps, start=1):
            demo = data.create_group(f"demo_{number}" if generation == "1.0" else f"demo{number}")
            demo.attrs["model_file"] = f"model_{number}.xml"
            states = numbers(count, 9, seed=number)
            states[:, 0] = 0.052 + np.arange(count) * 0.05
            demo["states"] = states
            if generation == "1.0":
                demo["actions"], demo["joint_torques"] = numbers(count, 7), numbers(count, 7)
            elif generation == "0.1":
                demo["joint_velocities"], demo["gripper_actuations"] = numbers(count, 7), numbers(count, 1)
                demo["right_dpos"], demo["left_dpos"] = numbers(count, 3), np.zeros((count, 0))
    return path
