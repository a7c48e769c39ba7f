"""What all jobs of a run share: which episodes may be used, where their frames come from, and the fitted transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.params import Params, Train
from components.core.records import Record
from components.core.spec import Embodiment
from components.core.workspace import Workspace
from components.dataset.layout import ACTION, STATE
from components.dataset.parts import Part
from components.dataset.statistics.merging import running_of_parts
from components.dataset.stats import RunningStats
from components.policy.catalogue.card import Needs
from components.train.base import MEAN_STD, QUANTILES, Base, read_base_statistics
from components.train.jobs import plan_jobs, validations_of
from components.train.mixture import (
    TRAIN,
    VAL,
    by_embodiment,
    embodiments,
    mixture_weights,
    open_sources,
    parts_of_split,
    quality_weights,
    require_apart,
    warn_of_rates,
)
from components.train.needs import require_needs
from components.train.normalising import fit_transforms
from components.train.own import own_source
from components.train.pretrained import Pretrained, read_pretrained
from components.train.refusals import require_finite, require_single
from components.train.sides import Side, make_sides, windows_of
from components.train.start import Start, read_start
from components.train.teacher import require_teacher
from components.transforms.chain import PolicyTransforms, fit_tokens
from components.transforms.steps import length_for

SPLITS = (TRAIN, VAL)
# What `data/train/<name>/episodes.parquet` says of an episode.
EPISODE_COLUMNS = ("episode_id", "source_uri", "source_sha256", "robot_id", "collector_id", "site", "task", "split")
# Below robots/: statistics of base checkpoints.
BASES = "statistics"


@dataclass(frozen=True)
class Inputs:
    """`digests`: what this came from, for the records; `episodes`: `EPISODE_COLUMNS` of the training episodes.

    `base`: a base checkpoint's statistics, where they took the place of the data's own; `weights` float32 [E]: what a
    window of each training episode counts, in the order of `episodes`, where they count differently; `others`: the
    transforms of the other embodiments in the mixture; `start`: the checkpoint to begin from; `teacher`: the folder of
    a verified bundle; `pretrained`: weights of parts, which a policy begins with before it takes over those of `start`.
    """

    train: Side
    val: Side
    transforms: PolicyTransforms
    episodes: pd.DataFrame
    digests: dict[str, str]
    base: Base | None = None
    weights: npt.NDArray[np.float32] | None = None
    others: tuple[PolicyTransforms, ...] = ()
    start: Start | None = None
    teacher: Path | None = None
    pretrained: tuple[Pretrained, ...] = ()

    def record(
        self,
        digest: str,
        params: Train,
        *,
        counts: Mapping[str, float],
        attrs: Mapping[str, Any],
        more_inputs: Mapping[str, str] | None = None,
    ) -> Record:
        """The record of a checkpoint that was trained on this."""
        shared = {"episodes": len(self.episodes), "windows": self.train.windows}
        return Record(
            kind="checkpoint",
            digest=digest,
            inputs={**self.digests, **(more_inputs or {})},
            params=params.model_dump(mode="json"),
            counts={**counts, **shared},
            attrs=dict(attrs),
        )

    @property
    def robots(self) -> tuple[PolicyTransforms, ...]:
        """The transforms of all embodiments, the workspace's own first."""
        return (self.transforms, *self.others)


def load_inputs(workspace: Workspace, params: Params) -> Inputs:
    """Chooses the accepted episodes of all sources, and decodes them into the cache where that pays.

    Raises `RecordError` where the verdicts are missing or of another dataset, `DatasetError` where nothing is left or a
    source of the mixture is not what was named, `ContractError` where the checkpoint to begin from does not fit;
    `ParamsError` where the preset leaves out what the dataset has, unsaid.
    """
    train_params = params.train
    sources = [own_source(workspace, params), *open_sources(workspace.root, train_params.mixture)]
    require_apart(sources)
    chosen = {split: parts_of_split(sources, split) for split in SPLITS}
    warn_of_rates(chosen["train"])
    groups = by_embodiment(chosen["train"])
    bodies = embodiments(groups)
    require_single(train_params, [body.name for body in bodies])
    wordless = not all(_needs(train_params, body, groups, chosen).instructions for body in bodies)
    running = {name: running_of_parts(parts, [STATE, ACTION]) for name, parts in groups.items()}
    for name, parts in groups.items():
        require_finite(running[name][STATE], parts)
    digests = {role: digest for source in sources for role, digest in source.digests.items()}
    base = _base(workspace, params, running, bodies[0], digests)
    start, teacher = read_start(workspace.root, train_params), _teacher(workspace, train_params, bodies[0], digests)
    if start is not None:
        digests["start_from"] = train_params.start_from.sha256
    pretrained = read_pretrained(workspace.root, train_params)
    digests |= {part.role: part.digest for part in pretrained}
    wanted = [(chosen[split], _epochs(train_params, chosen, split)) for split in SPLITS]
    train, val = make_sides(wanted, workspace.frame_cache, limit_bytes=int(params.cache.frames_gb * 1e9))
    train = replace(train, weights=mixture_weights(sources))
    # Words are learnt from training episodes alone; held-out ones only have to fit.
    length = length_for([*train.instructions, *val.instructions])
    tokens = fit_tokens(train.instructions, length, start.vocabulary if start else (), wordless=wordless)
    own, *others = [
        fit_transforms(body, running[body.name], train_params.normalise, tokens, None if number else base)
        for number, body in enumerate(bodies)
    ]
    weights = quality_weights(sources, train_params.quality_weight)
    episodes = train.table(EPISODE_COLUMNS)
    return Inputs(train, val, own, episodes, digests, base, weights, tuple(others), start, teacher, pretrained)


def _needs(params: Train, body: Embodiment, groups: Mapping[str, Sequence[Part]], chosen: Mapping) -> Needs:
    held = [part for part in chosen["val"] if part.dataset.embodiment.name == body.name]
    return require_needs(params.preset, body, [*groups[body.name], *held], params.unused)


def _teacher(workspace: Workspace, params: Train, body: Embodiment, digests: dict[str, str]) -> Path | None:
    if not params.teacher.path:
        return None
    folder = workspace.root / params.teacher.path
    digests["teacher"] = require_teacher(folder, params.teacher, body, params.chunk)
    return folder


def _base(
    workspace: Workspace,
    params: Params,
    running: Mapping[str, Mapping[str, RunningStats]],
    body: Embodiment,
    digests: dict[str, str],
) -> Base | None:
    if not params.train.base_statistics:
        return None
    path = workspace.robots / BASES / params.train.base_statistics
    names = QUANTILES if params.train.normalise.state == "q01_q99" else MEAN_STD
    base = read_base_statistics(path, running[body.name], body, names)
    digests["base_statistics"] = base.digest
    return base


def _epochs(params: Train, chosen: dict[str, tuple[Part, ...]], split: str) -> float:
    """Passes over a side that all jobs of the run make together."""
    steps = [job.steps for job in plan_jobs(params)]
    if split == "val":
        return float(sum(validations_of(count, params.checkpoints.every) for count in steps))
    return sum(steps) * params.accumulate * params.batch_size / windows_of(chosen[split])
