"""The datasets that a policy is trained on: the workspace's own, and those of `train.mixture`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError, RecordError
from components.core.files import sha256_file
from components.core.spec import Embodiment, require_same
from components.core.train_params import MixtureSource
from components.dataset.loading.episodes import part_frames, part_lengths
from components.dataset.parts import Part
from components.dataset.pinned import open_pinned
from components.dataset.select import NothingSelected, select
from components.train.weights import window_weights

log = logging.getLogger(__name__)

TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class Source:
    """Episodes that may be used, by split; `weight` in the mixture; `digests`: what they came from, for records.

    `verdicts`: who judged them, None where nobody did.
    """

    parts: Mapping[str, tuple[Part, ...]]
    weight: float
    digests: Mapping[str, str]
    verdicts: Path | None = None


def open_sources(root: Path, asked: Sequence[MixtureSource]) -> list[Source]:
    """The sources of `train.mixture`; paths are from `root`, the workspace.

    Raises `DatasetError` for one that is not what its digest says or has nothing to train on, `RecordError` for
    verdicts that are not of it. One without held-out episodes is trained on and adds nothing to validation.
    """
    return [_open(root, one, number) for number, one in enumerate(asked, start=1)]


def _open(root: Path, asked: MixtureSource, number: int) -> Source:
    whole, verdicts = open_pinned(root, asked), root / asked.verdicts if asked.verdicts else None
    digests = {f"mixture-{number}": asked.sha256}
    accepted = ""
    if verdicts is not None:
        for part in whole:
            require_verdicts(verdicts, part)
        digests[f"mixture-{number}-verdicts"], accepted = sha256_file(verdicts), " AND verdict = 'accepted'"
    parts: dict[str, tuple[Part, ...]] = {}
    for split in (TRAIN, VAL):
        try:
            parts[split] = tuple(select(whole, f"split = '{split}'{accepted}", verdicts))
        except NothingSelected as error:
            if split == TRAIN:
                hint = "Take it out of train.mixture, or accept and split its episodes"
                raise DatasetError("no accepted episode to train on", where=asked.path, hint=hint) from error
            log.warning("%s: no held-out episode, it adds nothing to validation", asked.path)
            parts[split] = ()
    return Source(parts, asked.weight, digests, verdicts)


def require_verdicts(path: Path, part: Part) -> None:
    """Raises `RecordError` where the file is missing or an episode of the dataset has no verdict."""
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


def parts_of_split(sources: Sequence[Source], split: str) -> tuple[Part, ...]:
    return tuple(part for source in sources for part in source.parts[split])


def by_embodiment(parts: Sequence[Part]) -> dict[str, tuple[Part, ...]]:
    """Parts by the name of their robot, in the order in which robots come.

    Raises `ContractError` that names the field in which two datasets of one name differ.
    """
    found: dict[str, list[Part]] = {}
    for part in parts:
        body = part.dataset.embodiment
        others = found.setdefault(body.name, [])
        if others:
            require_same(others[0].dataset.embodiment, body, where=str(part.dataset.root))
        others.append(part)
    return {name: tuple(group) for name, group in found.items()}


def embodiments(groups: Mapping[str, Sequence[Part]]) -> list[Embodiment]:
    return [parts[0].dataset.embodiment for parts in groups.values()]


def require_apart(sources: Sequence[Source]) -> None:
    """Raises `DatasetError` where an episode is trained on through one source and held out through another."""
    trained, held = (_ids(parts_of_split(sources, split)) for split in (TRAIN, VAL))
    both = held.filter(pc.is_in(held, value_set=trained))
    if len(both):
        raise DatasetError(
            f"{len(both)} held-out episodes are trained on by way of another dataset, the first is {both[0].as_py()}",
            hint="Make a manifest with `gripline merge`, which keeps the sides apart, and name that in train.mixture",
        )


def warn_of_rates(parts: Sequence[Part]) -> None:
    """A chunk of so many actions takes twice as long at half the rate: the same words then mean two speeds."""
    rates = {part.name: part.dataset.fps for part in parts}
    if len(set(rates.values())) > 1:
        named = ", ".join(f"{name} {fps} Hz" for name, fps in sorted(rates.items()))
        log.warning("datasets of different rates in one mixture: %s; ingest.fps brings them to one", named)


def mixture_weights(sources: Sequence[Source]) -> tuple[float, ...] | None:
    """One weight a training part: that of its source, divided by frames. None for a single source: no mixture."""
    if len(sources) == 1:
        return None
    shares = []
    for source in sources:
        frames = [part_frames(part) for part in source.parts[TRAIN]]
        shares += [source.weight * count / sum(frames) for count in frames]
    return tuple(shares)


def quality_weights(sources: Sequence[Source], exponent: float) -> npt.NDArray[np.float32] | None:
    """float32 [E] by rows of a loader over the training parts: see `window_weights`. Who was not judged counts 1."""
    if not exponent:
        return None
    found = []
    for source in sources:
        parts = source.parts[TRAIN]
        judged = None if source.verdicts is None else window_weights(parts, source.verdicts, exponent)
        count = sum(len(part_lengths(part)) for part in parts)
        found.append(np.ones(count, np.float32) if judged is None else judged)
    return np.concatenate(found)


def _ids(parts: Sequence[Part]) -> pa.Array:
    columns = [
        part.dataset.table(["episode_id"])["episode_id"].combine_chunks().take(part.rows).cast(pa.string())
        for part in parts
    ]
    return pa.concat_arrays(columns)
