"""Two robots out of one recording of the simulated cell, and what they are trained on and tried with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from components.core.params import Params, Raw
from components.core.spec import SAWYER_CELL, Embodiment
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.formats.mapping import Mapping
from components.ingest.ingest import ingest
from components.record.recorder import record_task
from components.sim.cell import Cell, Observation
from components.sim.rollout import run_episode
from components.sim.tasks import task
from components.transforms.chain import PolicyTransforms

SEEN, ARM = SAWYER_CELL.observation, SAWYER_CELL.action.groups[0]
# Sees by the wrist alone, knows its joints, and moves no gripper: 11 numbers in, 3 out.
SECOND = replace(
    SAWYER_CELL,
    name="one-eyed-arm",
    observation=replace(SEEN, cameras=("wrist",), state=(*SEEN.state, *SEEN.kept), kept=()),
    action=replace(SAWYER_CELL.action, groups=(replace(ARM, stream="arm"),)),
)
STREAMS = {
    "wrist": {"from": "obs/robot0_eye_in_hand_image", "kind": "image"},
    "hand": {"from": "obs/robot0_eef_pos", "kind": "state"},
    "gripper": {"from": "obs/robot0_gripper_qpos", "kind": "state"},
    "joints": {"from": "obs/robot0_joint_pos", "kind": "state"},
    "arm": {"from": "actions", "kind": "action", "select": [0, 1, 2], "names": list(ARM.names)},
}
MAPPING = Mapping.model_validate({"name": "arm-only", "format": ["hdf5"], "time": "time", "streams": STREAMS})
# What holds the gripper open.
OPEN = -1.0


def record(folder: Path, tasks: Sequence[str], count: int, raw: Raw) -> None:
    """`count` demonstrations of each task that is not there yet, one HDF5 file a task."""
    for name in tasks:
        if not (folder / name).is_dir():
            record_task(name, count, folder / name, "hdf5", raw=raw)


def relabelled(source: Path, target: Path, robot: str) -> Path:
    """A copy of a recording that says it is of `robot`: ingestion refuses one that says it is of another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as file:
        for demo in file["data"].values():
            demo.attrs["embodiment"] = robot
    return target


def make_workspace(root: Path, raw: Path, tasks: Sequence[str], body: Embodiment, params: Params) -> Workspace:
    """A workspace whose dataset is the recordings of `tasks` as `body` sees and moves; all episodes are accepted."""
    workspace = Workspace(root)
    workspace.checks.mkdir(parents=True, exist_ok=True)
    files = [path for name in tasks for path in sorted((raw / name).glob("*.hdf5"))]
    if body != SAWYER_CELL:
        files = [relabelled(path, workspace.raw / path.name, body.name) for path in files]
    mappings = () if body == SAWYER_CELL else (MAPPING,)
    ingest(files, workspace.dataset, params.ingest, body, mappings=mappings, processes=1)
    ids = Dataset.open(workspace.dataset).episodes["episode_id"]
    rows = [{"episode_id": name, "verdict": "accepted", "codes": []} for name in ids]
    pd.DataFrame(rows).to_parquet(workspace.checks / "verdicts.parquet", index=False)
    return workspace


def only(workspace: Workspace, tasks: Sequence[str], count: int) -> str:
    """A condition: all held-out episodes, and the first `count` others of each task by their identity."""
    table = Dataset.open(workspace.dataset).episodes
    trained = table[table["split"] == "train"].sort_values("episode_id")
    names = [name for one in tasks for name in trained[trained["task"] == one]["episode_id"][:count]]
    return f"split = 'val' OR episode_id IN ({', '.join(repr(name) for name in names)})"


def success(policy: nn.Module, transforms: PolicyTransforms, name: str, seeds: range, execute: int) -> int:
    """Rollouts of the second robot in the cell that succeed: its state is the cell's, its gripper stays open."""
    with Cell(name) as cell:

        def act(seen: Observation, instruction: str) -> npt.NDArray[np.float32]:
            state = np.concatenate([seen.state, cell.reading().joints])[None]
            inputs = transforms.inputs({"wrist": seen.images["wrist"][None]}, state, [instruction])
            with torch.no_grad():
                found = policy(*(torch.from_numpy(inputs[key]) for key in ("images", "state", "tokens")))
            moves = transforms.outputs(found.numpy())[0]
            return np.concatenate([moves, np.full((len(moves), 1), OPEN, np.float32)], axis=1)

        return sum(
            run_episode(
                cell, act, seed=seed, instruction=task(name).phrasing(seed), execute=execute, horizon=60
            ).success
            for seed in seeds
        )
