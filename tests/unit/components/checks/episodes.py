"""Good episodes made of formulas, and every fault that the checks know, done to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.checks.reduce import Meta, reduce_episode
from components.core.params import Video
from components.core.spec import SAWYER_CELL
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter

FPS = 20
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
# Metres that the hand moves in a tick at full command; it follows a tick late, as the simulated cell does.
REACH_M = 0.03
NOMINAL_HZ = {"fixed": 30.0, "wrist": 30.0, "hand": 100.0, "joints": 100.0, "gripper": 10.0, "action": 20.0}
_KINDS = {"fixed": "image", "wrist": "image", "action": "action"}


@dataclass(frozen=True)
class Sample:
    """What `reduce_episode` takes, apart from the settings."""

    row: dict[str, Any]
    frames: dict[str, npt.NDArray[Any]]
    images: dict[str, npt.NDArray[np.uint8]]
    streams: list[dict[str, Any]]

    def reduce(self, black_level: float = 8.0) -> dict[str, Any]:
        meta = Meta(self.row, FPS, CELL, black_level, nominal_hz=NOMINAL_HZ)
        return reduce_episode(self.frames, self.images, self.streams, meta)

    def with_stream(self, name: str, **changes: Any) -> Sample:
        return replace(self, streams=[row | changes if row["stream"] == name else row for row in self.streams])

    def with_frames(self, key: str, values: npt.NDArray[Any]) -> Sample:
        return replace(self, frames={**self.frames, key: values})


def good(seed: int, length: int = 30) -> Sample:
    """An arm that follows smooth commands, seen by two cameras whose pictures follow the hand."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / FPS
    waves = rng.uniform(0.4, 1.6, (4, 1)) * time + rng.uniform(0, 1, (4, 1))
    action = (0.9 * np.sin(2 * np.pi * waves)).T.astype(np.float32)
    moved = np.concatenate([np.zeros((2, 3)), action[:-2, :3] * REACH_M])
    state = np.concatenate([np.cumsum(moved, axis=0), 0.5 + 0.1 * action[:, 3:]], axis=1).astype(np.float32)
    # The hand must not start with a pause: the formula's first two ticks have no command behind them.
    action, state, time = action[2:], state[2:], time[2:] - time[2]
    frames = {
        "observation.state": state,
        "observation.joints": np.repeat(state[:, :1], 7, axis=1).astype(np.float32),
        "action": action,
        "observation.time": time + rng.normal(0, 2e-4, len(time)),
    }
    images = {camera: pictures(state[:, :3], number) for number, camera in enumerate(("fixed", "wrist"))}
    streams = [stream_row(name, float(time[-1])) for name in sorted(NOMINAL_HZ)]
    return Sample(episode_row(seed, images, len(time)), frames, images, streams)


def pictures(hand: npt.NDArray[np.float32], number: int, size_px: int = 32) -> npt.NDArray[np.uint8]:
    """uint8 [T, size, size, 3]: a pattern that shifts with every millimetre."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    ahead, aside, up = (8 * hand[:, axis, None, None] for axis in range(3))
    waves = (2 * x + ahead + number / 3, y + aside, x + y + up)
    light = sum(np.sin(2 * np.pi * wave) for wave in waves)
    return np.repeat((120 + 30 * light)[..., None], 3, axis=-1).astype(np.uint8)


def stream_row(name: str, duration_s: float) -> dict[str, Any]:
    rate_hz = NOMINAL_HZ[name]
    count = int(duration_s * rate_hz) + 1
    kind = _KINDS.get(name, "state")
    return {
        "stream": name,
        "kind": kind,
        "count": count,
        "rate_hz": rate_hz,
        "duration_s": (count - 1) / rate_hz,
        "start_offset_s": 0.0,
        "backwards": 0,
        "duplicates": 0,
        "jitter": 0.03,
        "max_gap_s": 1.1 / rate_hz,
        "gaps": 0,
        "nan_count": 0,
        "worst_misalignment_ms": 500.0 / rate_hz if kind != "state" else 1000.0 / rate_hz,
    }


def episode_row(seed: int, images: dict[str, npt.NDArray[np.uint8]], length: int) -> dict[str, Any]:
    return {
        "episode_id": hashlib.sha256(f"episode {seed}".encode()).hexdigest(),
        "pixel_sha256": hashlib.sha256(b"".join(image.tobytes() for image in images.values())).hexdigest(),
        "episode_index": seed,
        "length": length,
        "task": ("drawer-open", "handle-pull")[seed % 2],
        "instruction": "pull the drawer open",
        "source_uri": f"site-north/{seed:03d}.mcap",
        "source_format": "mcap",
        "robot_id": "cell-1",
        "collector_id": "collector-a",
        "site": "site-north",
        "recorded_at": f"2026-01-05T08:{seed // 60:02d}:{seed % 60:02d}Z",
    }


def _changed(sample: Sample, key: str, where: Any, value: Any) -> Sample:
    values = sample.frames[key].copy()
    values[where] = value
    return sample.with_frames(key, values)


def _idle(sample: Sample) -> Sample:
    state = np.repeat(sample.frames["observation.state"][:1], len(sample.frames["action"]), axis=0)
    still = sample.with_frames("observation.state", state).with_frames("action", np.zeros_like(sample.frames["action"]))
    return replace(still, images={camera: np.repeat(i[:1], len(i), axis=0) for camera, i in sample.images.items()})


def _picture(sample: Sample, camera: str, change: Callable[[npt.NDArray[np.uint8]], None]) -> Sample:
    images = sample.images[camera].copy()
    change(images)
    return replace(sample, images={**sample.images, camera: images})


def _freeze(images: npt.NDArray[np.uint8]) -> None:
    images[len(images) // 2 :] = images[len(images) // 2]


def _darken(images: npt.NDArray[np.uint8]) -> None:
    images[3 : 3 + len(images) // 5] //= 32


def _short(sample: Sample) -> Sample:
    return replace(
        sample,
        frames={key: values[:6] for key, values in sample.frames.items()},
        images={camera: images[:6] for camera, images in sample.images.items()},
        streams=[stream_row(row["stream"], 0.25) for row in sample.streams],
    )


def _state_jump(sample: Sample) -> Sample:
    state = sample.frames["observation.state"].copy()
    state[12:, 0] += 0.3
    return sample.with_frames("observation.state", state)


def _half_the_rate(sample: Sample) -> Sample:
    action = next(row for row in sample.streams if row["stream"] == "action")
    half = {"rate_hz": 10.0, "count": (action["count"] + 1) // 2, "max_gap_s": 0.11}
    return sample.with_stream("action", **half)


# Code -> the smallest things that deserve it; each breaks this one check and no other.
FAULTS: dict[str, list[Callable[[Sample], Sample]]] = {
    "nan": [
        lambda s: _changed(s, "observation.state", (slice(5, 9), 1), np.nan),
        lambda s: _changed(s, "observation.joints", (3, 6), np.inf),
        lambda s: s.with_stream("hand", nan_count=1),
    ],
    "missing_language": [lambda s: replace(s, row=s.row | {"instruction": " \n"})],
    "too_short": [_short],
    "idle": [_idle],
    "frozen_camera": [lambda s: _picture(s, "fixed", _freeze), lambda s: _picture(s, "wrist", _freeze)],
    "black_frames": [lambda s: _picture(s, "fixed", _darken), lambda s: _picture(s, "wrist", _darken)],
    "dropped_frames": [
        lambda s: s.with_stream("fixed", count=25, jitter=0.25),
        # So many that the median step is twice what it was.
        lambda s: s.with_stream("fixed", count=20, rate_hz=15.0, jitter=0.25),
        lambda s: s.with_stream("wrist", max_gap_s=0.4),
    ],
    "clock_backwards": [
        lambda s: s.with_stream("joints", backwards=1),
        lambda s: _changed(s, "observation.time", 7, s.frames["observation.time"][5]),
    ],
    "clock_stopped": [lambda s: s.with_stream("gripper", duplicates=1)],
    "clock_jitter": [lambda s: s.with_stream("hand", jitter=0.4)],
    "rate_mismatch": [
        _half_the_rate,
        lambda s: s.with_frames("observation.time", 2 * s.frames["observation.time"]),
    ],
    "state_jump": [_state_jump],
    "action_jump": [lambda s: _changed(_changed(s, "action", 9, 1.0), "action", 10, -1.0)],
    "action_out_of_range": [
        lambda s: _changed(s, "action", (4, 0), 1.01),
        lambda s: _changed(s, "action", (4, 3), -1.2),
    ],
    "stream_misaligned": [
        lambda s: s.with_stream("wrist", worst_misalignment_ms=30.0),
        lambda s: s.with_stream("gripper", worst_misalignment_ms=130.0),
        # The command reaches the file three ticks early, and three late.
        lambda s: s.with_frames("action", np.roll(s.frames["action"], -3, axis=0)),
        lambda s: s.with_frames("action", np.roll(s.frames["action"], 3, axis=0)),
    ],
}


def write_dataset(root: Path, samples: Sequence[Sample], video: Video) -> str:
    """A dataset of these episodes, as ingest would write it; returns its digest."""
    with DatasetWriter(root, CELL, FPS, video) as writer:
        for sample in sorted(samples, key=lambda s: str(s.row["episode_id"])):
            writer.add_frames(_episode_frames(sample))
        return writer.close()


def _episode_frames(sample: Sample) -> EpisodeFrames:
    given = {name: str(sample.row.get(name, "")) for name in ROW_COLUMNS}
    return EpisodeFrames(
        episode_id=sample.row["episode_id"],
        task=sample.row["task"],
        instruction=sample.row["instruction"],
        images=sample.images,
        state=sample.frames["observation.state"],
        action=sample.frames["action"],
        time_s=sample.frames["observation.time"],
        row=given | {"embodiment": CELL.name},
        extras={"observation.joints": sample.frames["observation.joints"]},
        streams=sample.streams,
    )
