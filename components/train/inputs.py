"""What all jobs of a run share: which episodes may be used, their windows in memory, and the fitted transforms."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.errors import DatasetError, RecordError
from components.core.files import sha256_file
from components.core.workspace import Workspace
from components.dataset.layout import STATE
from components.dataset.loader import WindowStore
from components.dataset.reader import Dataset
from components.transforms.chain import PolicyTransforms

ACCEPTED = "accepted"
# What `data/train/<name>/episodes.parquet` says of an episode.
EPISODE_COLUMNS = ("episode_id", "source_uri", "source_sha256", "robot_id", "collector_id", "site", "task", "split")


@dataclass(frozen=True)
class Inputs:
    """`digests`: what this came from, for the records; `episodes`: rows of the training episodes."""

    train: WindowStore
    val: WindowStore
    transforms: PolicyTransforms
    episodes: pd.DataFrame
    digests: dict[str, str]


def load_inputs(workspace: Workspace, chunk: int) -> Inputs:
    """Decodes the accepted episodes.

    Raises `RecordError` where the verdicts are missing or of another dataset, `DatasetError` where nothing is left.
    """
    dataset = Dataset.open(workspace.dataset)
    accepted = _accepted(workspace, dataset.episodes)
    stores = {}
    for split in ("train", "val"):
        rows = accepted[accepted["split"] == split]
        if rows.empty:
            raise DatasetError(
                f"no accepted episode in split {split!r}",
                where=str(workspace.dataset),
                hint="Add episodes, look at data/checks/verdicts.parquet, or change ingest.val_share",
            )
        indices = rows["episode_index"].tolist()
        stores[split] = WindowStore.build(dataset, indices, chunk, progress=sys.stderr.isatty())
    used = stores["train"].episodes
    transforms = PolicyTransforms.fit(
        dataset.embodiment, *_state_moments(dataset, used), instructions=stores["train"].instructions
    )
    digests = {"dataset": dataset.digest, "verdicts": sha256_file(workspace.checks / "verdicts.parquet")}
    return Inputs(stores["train"], stores["val"], transforms, used[list(EPISODE_COLUMNS)], digests)


def _accepted(workspace: Workspace, episodes: pd.DataFrame) -> pd.DataFrame:
    path = workspace.checks / "verdicts.parquet"
    if not path.is_file():
        raise RecordError("no such file", where=str(path), hint="Run the stage check first")
    verdicts = pd.read_parquet(path, columns=["episode_id", "verdict"])
    unjudged = sorted(set(episodes["episode_id"]) - set(verdicts["episode_id"]))
    if unjudged:
        raise RecordError(
            f"{len(unjudged)} episodes of the dataset have no verdict, the first is {unjudged[0]}",
            where=str(path),
            hint="Run the stage check again",
        )
    good = set(verdicts.loc[verdicts["verdict"] == ACCEPTED, "episode_id"])
    return episodes[episodes["episode_id"].isin(good)]


def _state_moments(dataset: Dataset, episodes: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation [S] of the states trained on, summed in the order of the store."""
    states = [dataset.frames(index)[STATE] for index in episodes["episode_index"].tolist()]
    every = np.concatenate(states).astype(np.float64)
    if not np.isfinite(every).all():
        raise DatasetError("an accepted episode holds a state that is not finite", where=str(dataset.root))
    return every.mean(axis=0), every.std(axis=0)
