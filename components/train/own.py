"""The workspace's own dataset as a source of training episodes."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import DatasetError
from components.core.files import sha256_file
from components.core.params import Params
from components.core.workspace import Workspace
from components.dataset.parts import Part, part_of
from components.dataset.reader import Dataset
from components.dataset.select import select
from components.train.mixture import TRAIN, VAL, Source, require_verdicts


def own_source(workspace: Workspace, params: Params) -> Source:
    """The workspace's dataset, as `check` judged it."""
    dataset, verdicts = Dataset.open(workspace.dataset), workspace.checks / "verdicts.parquet"
    whole = part_of(dataset)
    require_verdicts(verdicts, whole)
    parts = {split: _accepted(whole, split, params.train.where, verdicts) for split in (TRAIN, VAL)}
    digests = {"dataset": dataset.digest, "verdicts": sha256_file(verdicts)}
    return Source(parts, params.train.own_weight, digests, verdicts)


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
