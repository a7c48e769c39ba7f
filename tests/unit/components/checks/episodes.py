"""Good episodes made of formulas, and every fault that the checks know, done to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.checks.channels import Channels
from components.checks.codes import UNMEASURED, rules
from components.checks.measure.pictures import CameraFacts
from components.checks.own.relate import IDENTITY, relate
from components.checks.reduce import Reduction
from components.checks.suite import bound
from components.checks.table import STREAMS, as_batch
from components.core.params import Checks, Video
from components.core.spec import SAWYER_CELL
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter

FPS = 20
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
CHANNELS = Channels(CELL)
# Metres that the hand moves in a tick at full command; it follows a tick late, as the simulated cell does.
REACH_M = 0.03
NOMINAL_HZ = {"fixed": 30.0, "wrist": 30.0, "hand": 100.0, "joints": 100.0, "gripper": 10.0, "action": 20.0}
_KINDS = {"fixed": "image", "wrist": "image", "action": "action"}
_HOME = np.array([0.0, 0.6, 0.2])
# How far each joint turns for a metre of the hand, and where it is at home.
_TURNS = np.random.default_rng(0).uniform(-2.0, 2.0, (3, 7))
_AT_HOME = np.array([1.9, -0.55, -1.2, 1.6, 0.9, 0.3, 2.5])
_PHRASES = (("pull the drawer open", "open the drawer"), ("pull the handle up", "lift the handle"))


@dataclass(frozen=True)
class Sample:
    """What a reduction takes, apart from the settings."""

    row: dict[str, Any]
    frames: dict[str, npt.NDArray[Any]]
    images: dict[str, npt.NDArray[np.uint8]]
    streams: list[dict[str, Any]]

    def reduce(self, black_level: float = 8.0) -> dict[str, Any]:
        reduction = Reduction(self.frames, CHANNELS, fps=FPS, black_level=black_level)
        for camera, images in self.images.items():
            facts = CameraFacts(len(images))
            facts.take([images[..., 0]], full_range=True)
            reduction.add_camera(camera, facts)
        return reduction.row()

    def with_stream(self, name: str, **changes: Any) -> Sample:
        return replace(self, streams=[row | changes if row["stream"] == name else row for row in self.streams])

    def without_stream(self, name: str) -> Sample:
        return replace(self, streams=[row for row in self.streams if row["stream"] != name])

    def with_frames(self, key: str, values: npt.NDArray[Any]) -> Sample:
        return replace(self, frames={**self.frames, key: values})

    def with_row(self, **changes: Any) -> Sample:
        return replace(self, row=self.row | changes)


def measured(samples: Sequence[Sample]) -> pa.Table:
    """As `measure_dataset` gives it."""
    table = pa.Table.from_batches([as_batch([sample.reduce() for sample in samples])])
    beside = ("pixel_sha256", "frames_sha256", "licence", "consent_ref", "calibration_digest")
    for name in (*IDENTITY, *beside):
        table = table.append_column(name, pa.array([sample.row[name] for sample in samples]))
    return table.append_column(STREAMS, pa.array([sample.streams for sample in samples]))


def table_of(samples: Sequence[Sample], params: Checks) -> pd.DataFrame:
    """What is judged."""
    return relate(measured(samples), CELL, params, fps=FPS)


def codes_of(table: pd.DataFrame, params: Checks) -> list[set[str]]:
    """The codes that each row breaks, judged by plain comparisons."""
    found: list[set[str]] = [set() for _ in range(len(table))]
    for check, rule in rules(CHANNELS.can):
        if rule.column != UNMEASURED:
            values, limit = table[rule.column], bound(rule, params)
            broken = {"at_most": values.gt, "at_least": values.lt, "empty": values.ne}[rule.kind]
            rows = np.flatnonzero(broken("" if limit is None else limit).to_numpy())
            for row in rows.tolist():
                found[row].add(check.code)
    return found


def good(seed: int, length: int = 40) -> Sample:
    """An arm that follows smooth commands, seen by two cameras whose pictures follow the hand."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / FPS
    waves = rng.uniform(0.4, 1.6, (3, 1)) * time + rng.uniform(0, 1, (3, 1))
    arm = 0.9 * np.sin(2 * np.pi * waves).T
    grip = 0.5 + 0.4 * np.sin(2 * np.pi * (0.8 * time + rng.uniform(0, 1)))
    action = np.concatenate([arm, grip[:, None]], axis=1).astype(np.float32)
    moved = np.concatenate([np.zeros((2, 3)), arm[:-2] * REACH_M])
    hand = _HOME + np.cumsum(moved, axis=0) + rng.normal(0, 1e-4, (length, 3))
    opening = 0.5 - 0.5 * np.concatenate([grip[:1], grip[:-1]])
    frames = {
        "observation.state": np.concatenate([hand, opening[:, None]], axis=1).astype(np.float32),
        "observation.joints": (_AT_HOME + (hand - _HOME) @ _TURNS).astype(np.float32),
        "action": action,
        "observation.time": time + rng.normal(0, 2e-4, length),
    }
    images = {camera: pictures(hand, number) for number, camera in enumerate(("fixed", "wrist"))}
    streams = [stream_row(name, float(time[-1])) for name in sorted(NOMINAL_HZ)]
    return Sample(episode_row(seed, images, length), frames, images, streams)


def pictures(hand: npt.NDArray[np.floating[Any]], number: int, size_px: int = 32) -> npt.NDArray[np.uint8]:
    """uint8 [T, size, size, 3]: a fixed scene, its own for each camera, with a pattern that shifts with the hand."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    ahead, aside, up = (8 * hand[:, axis, None, None] for axis in range(3))
    waves = (2 * x + ahead + number / 3, y + aside, x + y + up)
    light = sum(np.sin(2 * np.pi * wave) for wave in waves)
    scene = 40 * np.where((x if number else y) > 0.5, 1.0, -1.0) + 8 * np.where((np.arange(size_px) % 2) > 0, 1.0, -1.0)
    return np.repeat((120 + 15 * light + scene)[..., None], 3, axis=-1).astype(np.uint8)


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
    task = seed % 2
    return {
        "episode_id": hashlib.sha256(f"episode {seed}".encode()).hexdigest(),
        "pixel_sha256": hashlib.sha256(b"".join(image.tobytes() for image in images.values())).hexdigest(),
        "frames_sha256": hashlib.sha256(f"frames {seed}".encode()).hexdigest(),
        "calibration_digest": "c" * 64,
        "episode_index": seed,
        "length": length,
        "task": ("drawer-open", "handle-pull")[task],
        "instruction": _PHRASES[task][seed // 2 % 2],
        "source_uri": f"site-north/{seed:03d}.mcap",
        "source_format": "mcap",
        "robot_id": f"cell-{1 + seed // 4 % 2}",
        "collector_id": "collector-a",
        "site": "site-north",
        "scene": "",
        "recorded_at": f"2026-01-05T08:{seed // 60:02d}:{seed % 60:02d}Z",
        "outcome": "success",
        "split": "train",
        "licence": "CC-BY-4.0",
        "consent_ref": "consent/collector-a",
    }


def _changed(sample: Sample, key: str, where: Any, value: Any) -> Sample:
    values = sample.frames[key].copy()
    values[where] = value
    return sample.with_frames(key, values)


def _idle(sample: Sample) -> Sample:
    """Nobody drives the robot; the gripper goes on, so that nothing else is odd."""
    action = sample.frames["action"].copy()
    action[:, :3] *= 0.01
    state, joints = sample.frames["observation.state"].copy(), sample.frames["observation.joints"]
    state[:, :3] = state[0, :3] + 0.01 * (state[:, :3] - state[0, :3])
    joints = (joints[0] + 0.01 * (joints - joints[0])).astype(np.float32)
    still = sample.with_frames("observation.state", state).with_frames("action", action)
    return still.with_frames("observation.joints", joints)


def _picture(sample: Sample, camera: str, change: Callable[[npt.NDArray[np.uint8]], None]) -> Sample:
    images = sample.images[camera].copy()
    change(images)
    return replace(sample, images={**sample.images, camera: images})


def _freeze(images: npt.NDArray[np.uint8]) -> None:
    images[len(images) // 2 :] = images[len(images) // 2]


def _repeat(images: npt.NDArray[np.uint8]) -> None:
    images[1::4] = images[::4][: len(images[1::4])]


def _darken(images: npt.NDArray[np.uint8]) -> None:
    images[3 : 3 + len(images) // 5] //= 32


def _even(images: npt.NDArray[np.uint8]) -> None:
    images[-len(images) // 4 :] = 128


def _soften(images: npt.NDArray[np.uint8]) -> None:
    wide = images.astype(np.float32)
    for axis in (1, 2):
        wide = (np.roll(wide, 1, axis) + wide + np.roll(wide, -1, axis)) / 3
    images[:] = wide


def _dim(images: npt.NDArray[np.uint8]) -> None:
    images[:] = images // 2


def _glare(images: npt.NDArray[np.uint8]) -> None:
    images[:] = np.minimum(255, images.astype(np.int32) * 2)


def _short(sample: Sample) -> Sample:
    return replace(
        sample,
        frames={key: values[:6] for key, values in sample.frames.items()},
        images={camera: images[:6] for camera, images in sample.images.items()},
        streams=[stream_row(row["stream"], 0.25) for row in sample.streams],
    )


def _half_the_rate(sample: Sample) -> Sample:
    action = next(row for row in sample.streams if row["stream"] == "action")
    half = {"rate_hz": 10.0, "count": (action["count"] + 1) // 2, "max_gap_s": 0.11}
    return sample.with_stream("action", **half)


def _exchanged(key: str, one: int, other: int) -> Callable[[Sample], Sample]:
    def exchange(sample: Sample) -> Sample:
        values = sample.frames[key].copy()
        values[:, [one, other]] = values[:, [other, one]]
        return sample.with_frames(key, values)

    return exchange


def _scaled(key: str, columns: slice, factor: float) -> Callable[[Sample], Sample]:
    return lambda s: _changed(s, key, (slice(None), columns), s.frames[key][:, columns] * factor)


def _leaping(sample: Sample) -> Sample:
    action = sample.frames["action"].copy()
    action[15, :3] = -np.sign(action[14, :3] + 1e-9)
    return sample.with_frames("action", action)


def _of_another(sample: Sample) -> Sample:
    action = sample.frames["action"].copy()
    action[:, :3] = good(977).frames["action"][: len(action), :3]
    return sample.with_frames("action", action)


def _slow(sample: Sample) -> Sample:
    """Eight times as slow, at the same rates."""
    times = 8

    def stretched(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        at = np.arange(times * len(values)) / times
        columns = values.reshape(len(values), -1).T
        return np.stack([np.interp(at, np.arange(len(values)), c) for c in columns], axis=1).astype(np.float32)

    frames = {key: stretched(values) for key, values in sample.frames.items()}
    frames["action"][:, :3] /= times
    frames["observation.time"] = np.arange(times * len(sample.frames["action"])) / FPS
    images = {camera: np.repeat(pictures, times, axis=0) for camera, pictures in sample.images.items()}
    streams = [stream_row(name, float(frames["observation.time"][-1])) for name in sorted(NOMINAL_HZ)]
    return replace(sample, frames=frames, images=images, streams=streams)


def _swapped(sample: Sample) -> Sample:
    return replace(sample, images={"fixed": sample.images["wrist"], "wrist": sample.images["fixed"]})


STATE, JOINTS, ACTION = "observation.state", "observation.joints", "action"
ARM = slice(0, 3)

# Code -> the smallest things that deserve it.
FAULTS: dict[str, list[Callable[[Sample], Sample]]] = {
    "nan": [
        lambda s: _changed(s, STATE, (slice(5, 9), 1), np.nan),
        lambda s: _changed(s, JOINTS, (3, 6), np.inf),
        lambda s: s.with_stream("hand", nan_count=1),
    ],
    "missing_stream": [
        lambda s: s.without_stream("gripper"),
        lambda s: s.with_stream("gripper", count=6, duration_s=0.6),
        lambda s: _picture(s, "wrist", _even),
    ],
    "missing_language": [
        lambda s: s.with_row(instruction=" \n"),
        lambda s: s.with_row(instruction="N/A"),
        lambda s: s.with_row(instruction="drawer-open"),
    ],
    "too_short": [_short],
    "idle": [_idle],
    "frozen_camera": [lambda s: _picture(s, "fixed", _freeze), lambda s: _picture(s, "wrist", _freeze)],
    "duplicate_frames": [lambda s: _picture(s, "fixed", _repeat)],
    "black_frames": [lambda s: _picture(s, "fixed", _darken), lambda s: _picture(s, "wrist", _darken)],
    "blurred": [lambda s: _picture(s, "wrist", _soften)],
    "exposure": [lambda s: _picture(s, "fixed", _dim), lambda s: _picture(s, "fixed", _glare)],
    "dropped_frames": [
        lambda s: s.with_stream("fixed", count=40, jitter=0.25),
        # So many that the median step is twice what it was.
        lambda s: s.with_stream("fixed", count=30, rate_hz=15.0, jitter=0.25),
        lambda s: s.with_stream("wrist", max_gap_s=0.5),
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
    "state_jump": [lambda s: _changed(s, STATE, (slice(12, None), 0), s.frames[STATE][12:, 0] + 0.2)],
    "action_jump": [_leaping],
    "action_out_of_range": [lambda s: _changed(s, ACTION, (4, 0), 1.01), lambda s: _changed(s, ACTION, (4, 3), -1.2)],
    "joint_limit": [lambda s: _changed(s, JOINTS, (slice(4, 7), 1), 2.4)],
    "unit_mismatch": [_scaled(JOINTS, slice(2, 3), 180 / np.pi), _scaled(STATE, ARM, 1000.0)],
    "constant_dim": [lambda s: _changed(s, STATE, (slice(12, None), 1), s.frames[STATE][12, 1])],
    "gripper_inverted": [
        lambda s: _changed(s, ACTION, (slice(None), 3), -s.frames[ACTION][:, 3]),
        lambda s: _changed(s, STATE, (slice(None), 3), 1 - s.frames[STATE][:, 3]),
    ],
    "action_state_disagree": [_of_another],
    "wrong_dim_order": [_exchanged(ACTION, 0, 1), _exchanged(STATE, 1, 2), _exchanged(JOINTS, 3, 5)],
    "stream_misaligned": [
        lambda s: s.with_stream("wrist", worst_misalignment_ms=30.0),
        lambda s: s.with_stream("gripper", worst_misalignment_ms=130.0),
        # The command reaches the file three ticks early, and three late.
        lambda s: s.with_frames(ACTION, np.roll(s.frames[ACTION], -3, axis=0)),
        lambda s: s.with_frames(ACTION, np.roll(s.frames[ACTION], 3, axis=0)),
    ],
    "outlier_episode": [_slow],
    "instruction_mismatch": [
        lambda s: s.with_row(instruction=_PHRASES[1 - ("drawer-open", "handle-pull").index(s.row["task"])][0])
    ],
    "no_consent": [lambda s: s.with_row(consent_ref=""), lambda s: s.with_row(consent_ref="pending")],
    "licence_forbids": [
        lambda s: s.with_row(licence="CC-BY-NC-SA-4.0"),
        lambda s: s.with_row(licence="All rights reserved"),
    ],
    "camera_swapped": [_swapped],
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
