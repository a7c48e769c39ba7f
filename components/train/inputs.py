"""What all jobs of a run share: which episodes may be used, where their frames come from, and the fitted transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError, RecordError
from components.core.files import sha256_file
from components.core.params import Params, Train
from components.core.spec import Embodiment
from components.core.workspace import Workspace
from components.dataset.layout import ACTION, STATE
from components.dataset.parts import Part, part_of
from components.dataset.reader import Dataset
from components.dataset.select import select
from components.dataset.statistics.merging import running_of_parts
from components.dataset.stats import RunningStats
from components.train.base import Base, read_base_statistics
from components.train.jobs import plan_jobs, validations_of
from components.train.sides import Side, make_sides, windows_of
from components.train.weights import window_weights
from components.transforms.chain import PolicyTransforms

SPLITS = ("train", "val")
# What `data/train/<name>/episodes.parquet` says of an episode.
EPISODE_COLUMNS = ("episode_id", "source_uri", "source_sha256", "robot_id", "collector_id", "site", "task", "split")
# Below robots/: statistics of base checkpoints.
BASES = "statistics"


@dataclass(frozen=True)
class Inputs:
    """`digests`: what this came from, for the records; `episodes`: `EPISODE_COLUMNS` of the training episodes.

    `base`: a base checkpoint's statistics, where they took the place of the data's own; `weights` float32 [E]: what a
    window of each training episode counts, in the order of `episodes`, where they count differently.
    """

    train: Side
    val: Side
    transforms: PolicyTransforms
    episodes: pd.DataFrame
    digests: dict[str, str]
    base: Base | None = None
    weights: npt.NDArray[np.float32] | None = None


def load_inputs(workspace: Workspace, params: Params) -> Inputs:
    """Chooses the accepted episodes, and decodes them into the cache where that pays.

    Raises `RecordError` where the verdicts are missing or of another dataset, `DatasetError` where nothing is left.
    """
    dataset, verdicts = Dataset.open(workspace.dataset), workspace.checks / "verdicts.parquet"
    whole = part_of(dataset)
    _require_verdicts(verdicts, whole)
    chosen = {split: _accepted(whole, split, params.train.where, verdicts) for split in SPLITS}
    running = running_of_parts(chosen["train"], [STATE, ACTION])
    _require_finite(running[STATE], chosen["train"])
    digests = {"dataset": dataset.digest, "verdicts": sha256_file(verdicts)}
    state, base = running[STATE].result(), None
    moments = state["mean"], state["std"]
    if params.train.base_statistics:
        path = workspace.robots / BASES / params.train.base_statistics
        base = read_base_statistics(path, running, dataset.embodiment)
        moments, digests["base_statistics"] = base.state_moments, base.digest
    wanted = [(chosen[split], _epochs(params.train, chosen, split)) for split in SPLITS]
    train, val = make_sides(wanted, workspace.frame_cache, limit_bytes=int(params.cache.frames_gb * 1e9))
    transforms = _transforms(dataset.embodiment, moments, train)
    weights = window_weights(chosen["train"], verdicts, params.train.quality_weight)
    return Inputs(train, val, transforms, train.table(EPISODE_COLUMNS), digests, base, weights)


def _transforms(body: Embodiment, moments: tuple[np.ndarray, np.ndarray], train: Side) -> PolicyTransforms:
    instructions = sorted(set(train.table(["instruction"])["instruction"]))
    return PolicyTransforms.fit(body, *moments, instructions=instructions)


def _require_verdicts(path: Path, part: Part) -> None:
    if not path.is_file():
        raise RecordError("no such file", where=str(path), hint="Run the stage check first")
    judged = pq.read_table(path, columns=["episode_id"])["episode_id"].combine_chunks()
    ids = part.dataset.table(["episode_id"])["episode_id"]
    unjudged = ids.filter(pc.invert(pc.is_in(ids, value_set=judged.cast(ids.type))))
    if len(unjudged):
        raise RecordError(
            f"{len(unjudged)} episodes of the dataset have no verdict, the first is {pc.min(unjudged).as_py()}",
            where=str(path),
            hint="Run the stage check again",
        )


def _accepted(part: Part, split: str, where: str, verdicts: Path) -> tuple[Part, ...]:
    # One condition after the other: what is asked for can widen neither side of the split.
    asked = select([part], where, verdicts) if where else [part]
    try:
        return tuple(select(asked, f"split = '{split}' AND verdict = 'accepted'", verdicts))
    except DatasetError as error:
        raise DatasetError(
            f"no accepted episode in split {split!r}: {error.message}",
            where=error.where,
            hint="Add episodes, look at data/checks/verdicts.parquet, or change ingest.val_share or train.where",
        ) from error


def _require_finite(state: RunningStats, parts: Sequence[Part]) -> None:
    """Statistics leave out what is not finite; training would not."""
    if int(state.result()["count"][0]) != windows_of(parts):
        raise DatasetError("an accepted episode holds a state that is not finite", where=str(parts[0].dataset.root))


def _epochs(params: Train, chosen: dict[str, tuple[Part, ...]], split: str) -> float:
    """Passes over a side that all jobs of the run make together."""
    steps = [job.steps for job in plan_jobs(params)]
    if split == "val":
        return float(sum(map(validations_of, steps)))
    return sum(steps) * params.batch_size / windows_of(chosen[split])
