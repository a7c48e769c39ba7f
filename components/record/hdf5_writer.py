"""Episodes as one HDF5 file in the robomimic layout: `data/demo_N`, every stream on the clock of the control step."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.core.episode import Episode
from components.core.errors import InputError
from components.record.describe import describe
from components.sim.tasks import task

# Stream of the episode -> dataset within a demo.
_DATASETS: dict[str, str] = {
    "fixed": "obs/agentview_image",
    "wrist": "obs/robot0_eye_in_hand_image",
    "hand": "obs/robot0_eef_pos",
    "gripper": "obs/robot0_gripper_qpos",
    "joints": "obs/robot0_joint_pos",
    "action": "actions",
    "action_executed": "actions_executed",
}


def hdf5_bytes(episodes: Sequence[Episode]) -> bytes:
    """The whole file; episode N becomes demo_N. Raises `InputError` for episodes without one common clock."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        data = file.create_group("data")
        for number, episode in enumerate(episodes):
            _write_demo(data.create_group(f"demo_{number}"), episode)
        data.attrs["total"] = sum(len(episode.stream("action")) for episode in episodes)
        data.attrs["env_args"] = json.dumps(_env_args(episodes[0]), sort_keys=True)
    return buffer.getvalue()


def _env_args(episode: Episode) -> dict[str, Any]:
    # Type 2 is robomimic's code for environments of the gym family.
    kwargs = {"control_freq": episode.rate_hz, "embodiment": episode.embodiment}
    return {"env_name": task(episode.task).env_name, "type": 2, "env_kwargs": kwargs}


def _write_demo(group: Any, episode: Episode) -> None:
    time_ns = episode.stream("action").time_ns
    for name, path in _DATASETS.items():
        stream = episode.stream(name)
        if not np.array_equal(stream.time_ns, time_ns):
            raise InputError(f"stream {name!r} has a clock of its own", hint="Write this episode as MCAP")
        images = stream.kind == "image"
        values = np.asarray(stream.values, dtype=np.uint8 if images else np.float64)
        # Level 1 takes a third of the size for a tenth of a second a demo; times would change the bytes.
        options: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "chunks": (1, *values.shape[1:])}
        group.create_dataset(path, data=values, track_times=False, **(options if images else {}))
    steps = len(time_ns)
    last = np.arange(steps) == steps - 1
    # Seconds from the first sample; the attribute recorded_at says when that was.
    group.create_dataset("time", data=(time_ns - time_ns[0]) / 1e9, track_times=False)
    group.create_dataset("dones", data=last.astype(np.int64), track_times=False)
    group.create_dataset("rewards", data=last.astype(np.float64), track_times=False)
    group.attrs["num_samples"] = steps
    group.attrs["instruction"] = episode.instruction
    for key, value in describe(episode).items():
        group.attrs[key] = value
