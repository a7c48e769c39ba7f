"""The same drawn demonstrations in every format that ingest reads, for the ingest bench."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from mcap.writer import CompressionType
from mcap_ros2.writer import Writer
from PIL import Image

from components.core.params import load_params
from components.core.spec import ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter
from components.formats.mapping import Mapping, StreamRule
from components.formats.mcap.ros2_messages import DEFINITIONS
from components.formats.rlds.example import example_class
from components.formats.rlds.tfrecord import masked_crc

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
Frames = npt.NDArray[np.uint8]
CAMERAS = ("cam0", "cam1")
PX = 224
DIM = 14
FPS = 50
NAMES = tuple(f"joint_{number}" for number in range(DIM))
INSTRUCTION = "move the discs around the table"


def bench_embodiment() -> Embodiment:
    low, high = (-10.0,) * DIM, (10.0,) * DIM
    return Embodiment(
        "bench-arms",
        ObservationSpec(CAMERAS, PX, (StateGroup("arms", NAMES, "rad", "state"),)),
        ActionSpec((ActionGroup("arms", NAMES, "rad", "joint", "absolute", low, high),), float(FPS), "joint position"),
    )


def scene(seed: int, steps: int) -> Iterator[Frames]:
    """uint8 [PX, PX, 3] frames: three discs move on a textured table; every pixel has sensor noise of sigma 2."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:PX, :PX]
    table = (128 + 60 * np.sin(x / 7) * np.cos(y / 9))[..., None] + rng.normal(0, 12, (PX, PX, 3))
    for step in range(steps):
        frame = table.copy()
        for disc in range(3):
            centre_x = PX / 2 + PX / 3 * np.sin(step / 20 + 2 * disc)
            centre_y = PX / 2 + PX / 3 * np.cos(step / 25 + disc)
            inside = (x - centre_x) ** 2 + (y - centre_y) ** 2 < (PX / 12) ** 2
            frame[inside] = (50 + 80 * disc, 200 - 60 * disc, 30 * disc)
        yield np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)


def numbers(seed: int, steps: int) -> npt.NDArray[np.float64]:
    """[steps, DIM], smooth."""
    phase = np.random.default_rng(seed).normal(size=DIM)
    return np.sin(np.arange(steps)[:, None] / 30 + phase)


@lru_cache(maxsize=2)
def jpegs(seed: int, steps: int) -> tuple[bytes, ...]:
    return tuple(_jpeg(frame) for frame in scene(seed, steps))


def _jpeg(frame: Frames) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_robomimic(folder: Path, episodes: int, steps: int) -> None:
    """One file; images raw."""
    folder.mkdir(parents=True)
    with h5py.File(folder / "demo.hdf5", "w") as file:
        file.create_group("data").attrs["env_args"] = "{}"
        for episode in range(episodes):
            demo = file["data"].create_group(f"demo_{episode}")
            demo.attrs["num_samples"] = steps
            for key, value in (("task", "discs"), ("instruction", INSTRUCTION)):
                demo.attrs[key] = value
            demo["time"] = np.arange(steps) / FPS
            demo["actions"] = numbers(episode, steps)
            demo["obs/state"] = numbers(episode + 1000, steps)
            for number, camera in enumerate(CAMERAS):
                images = demo.create_dataset(f"obs/{camera}", (steps, PX, PX, 3), np.uint8, chunks=(1, PX, PX, 3))
                for step, frame in enumerate(scene(10 * episode + number, steps)):
                    images[step] = frame


def write_aloha(folder: Path, episodes: int, steps: int) -> None:
    """One file an episode; images JPEG, padded to one length."""
    folder.mkdir(parents=True)
    for episode in range(episodes):
        with h5py.File(folder / f"episode_{episode}.hdf5", "w") as file:
            file.attrs["sim"], file.attrs["compress"] = False, True
            file["action"] = numbers(episode, steps)
            file["observations/qpos"] = numbers(episode + 1000, steps)
            lengths = []
            for number, camera in enumerate(CAMERAS):
                frames = jpegs(10 * episode + number, steps)
                lengths.append([len(frame) for frame in frames])
                padded = np.zeros((steps, max(lengths[-1])), np.uint8)
                for step, frame in enumerate(frames):
                    padded[step, : len(frame)] = np.frombuffer(frame, np.uint8)
                file[f"observations/images/{camera}"] = padded
            file["compress_len"] = np.array(lengths, np.float32)


def write_mcap(folder: Path, episodes: int, steps: int) -> None:
    """One ROS 2 file an episode; images JPEG."""
    folder.mkdir(parents=True)
    for episode in range(episodes):
        with (folder / f"episode_{episode:03d}.mcap").open("wb") as stream:
            writer = Writer(stream, compression=CompressionType.ZSTD)
            writer.add_metadata("episode", {"task": "discs", "instruction": INSTRUCTION})
            schemas = {name: writer.register_msgdef(name, text) for name, text in DEFINITIONS.items()}
            frames = [jpegs(10 * episode + number, steps) for number in range(len(CAMERAS))]
            rows = {"/state": numbers(episode + 1000, steps), "/action": numbers(episode, steps)}
            for step in range(steps):
                at = 1_700_000_000_000_000_000 + step * 10**9 // FPS
                header = {"stamp": {"sec": at // 10**9, "nanosec": at % 10**9}, "frame_id": ""}
                for number, camera in enumerate(CAMERAS):
                    image = {"header": header, "format": "jpeg", "data": frames[number][step]}
                    writer.write_message(f"/{camera}", schemas["sensor_msgs/msg/CompressedImage"], image, at, at)
                for topic, values in rows.items():
                    joints: dict[str, Any] = {"header": header, "name": NAMES, "position": values[step].tolist()}
                    joints |= {"velocity": [], "effort": []}
                    writer.write_message(topic, schemas["sensor_msgs/msg/JointState"], joints, at, at)
            writer.finish()


def write_rlds(folder: Path, episodes: int, steps: int) -> None:
    """One TFRecord file; images JPEG."""
    folder.mkdir(parents=True)
    with (folder / "discs-train.tfrecord-00000-of-00001").open("wb") as stream:
        for episode in range(episodes):
            example = example_class()()
            feature = example.features.feature
            feature["steps/action"].float_list.value.extend(numbers(episode, steps).ravel())
            feature["steps/observation/state"].float_list.value.extend(numbers(episode + 1000, steps).ravel())
            feature["steps/language_instruction"].bytes_list.value.extend([INSTRUCTION.encode()] * steps)
            feature["steps/is_last"].int64_list.value.extend([0] * steps)
            for number, camera in enumerate(CAMERAS):
                feature[f"steps/observation/{camera}"].bytes_list.value.extend(jpegs(10 * episode + number, steps))
            payload = example.SerializeToString(deterministic=True)
            head = struct.pack("<Q", len(payload))
            stream.write(head + struct.pack("<I", masked_crc(head)) + payload + struct.pack("<I", masked_crc(payload)))


def write_lerobot(folder: Path, episodes: int, steps: int) -> None:
    """A LeRobot v3.0 tree without anything of gripline's own; images H.264."""
    write_tree(folder, episodes, steps)
    shutil.rmtree(folder / "meta/gripline")


def write_tree(folder: Path, episodes: int, steps: int) -> None:
    """A dataset as gripline writes it; images H.264."""
    video = load_params(PARAMS).ingest.video
    with DatasetWriter(folder, bench_embodiment(), FPS, video) as writer:
        for episode in range(episodes):
            writer.add_frames(
                EpisodeFrames(
                    episode_id=f"{episode:064x}",
                    task="discs",
                    instruction=INSTRUCTION,
                    images={camera: _Scene(10 * episode + number, steps) for number, camera in enumerate(CAMERAS)},
                    state=numbers(episode + 1000, steps).astype(np.float32),
                    action=numbers(episode, steps).astype(np.float32),
                    time_s=np.arange(steps) / FPS,
                    row=dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": "bench-arms"},
                )
            )
        writer.close()


class _Scene(Sequence[Any]):
    """A scene as the writer takes it: drawn when it is gone through."""

    def __init__(self, seed: int, steps: int) -> None:
        self._seed, self._steps = seed, steps

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Frames]:
        return scene(self._seed, self._steps)

    def __getitem__(self, index: Any) -> Any:
        raise TypeError("a scene is gone through front to back")


# What an ALOHA file leaves unsaid.
MAPPINGS = (
    Mapping(
        match="episode_*.hdf5",
        constants={"task": "discs", "instruction": INSTRUCTION},
        streams={
            "state": StreamRule(source="observations/qpos", kind="state"),
            "action": StreamRule(source="action", kind="action"),
            **{camera: StreamRule(source=f"observations/images/{camera}", kind="image") for camera in CAMERAS},
        },
    ),
)
WRITERS: dict[str, Callable[[Path, int, int], None]] = {
    "mcap-jpeg": write_mcap,
    "hdf5-raw": write_robomimic,
    "hdf5-jpeg": write_aloha,
    "rlds-jpeg": write_rlds,
    "lerobot-h264": write_lerobot,
}
