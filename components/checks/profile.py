"""What the accepted episodes of a dataset are like, in a few kilobytes whatever their number; and drift from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.errors import RecordError
from components.core.files import digest_json, read_json

PROFILE = "profile.json"
NUMBERS = ("length", "path", "path_efficiency", "idle_share", "ldlj")
# Of each camera: brightness_NAME.
PER_CAMERA = "brightness_"
TEXTS = ("task", "robot_id", "site")
# Names that are counted each; all others are counted together.
_MOST_NAMES = 100
_DECILES = np.arange(1, 10) / 10
# Added to every count: an empty bin is no proof that nothing can be in it.
_PRIOR = 0.5
# Standard normal quantile of 0.999.
_ONE_IN_1000 = 3.09
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bins:
    """Either rising `edges` [K], bin i holding edges[i - 1] <= x < edges[i], or K names and, last, all others.

    `counts`: K + 1 numbers of episodes.
    """

    bins: Sequence[float] | Sequence[str]
    counts: Sequence[int]


def profile_of(accepted: pd.DataFrame, dataset_digest: str) -> dict[str, Any]:
    """Plain JSON from the episode table of the accepted episodes; columns without any value are left out."""
    columns = {name: bins_of(accepted[name].dropna()) for name in drifting(accepted)}
    said = sorted(set(accepted["instruction"]))
    return {
        "dataset": dataset_digest,
        "episodes": len(accepted),
        "instructions": {"count": len(said), "sha256": digest_json(said)},
        "columns": {
            name: {"bins": list(made.bins), "counts": list(made.counts)}
            for name, made in columns.items()
            if sum(made.counts)
        },
    }


def read_profile(path: Path) -> dict[str, Any]:
    """From profile.json, or the folder of a check that holds it. Raises `RecordError` where there is none."""
    file = path / PROFILE if path.is_dir() else path
    try:
        found = read_json(file)
        stored_bins(found)
        str(found["dataset"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"Name the {PROFILE} of an earlier check, or the folder that holds it"
        raise RecordError("is no profile of a dataset", where=str(file), hint=hint) from error
    return dict(found)


def drifting(table: pd.DataFrame) -> list[str]:
    """Columns of an episode table that a profile holds."""
    cameras = sorted(name for name in table.columns if name.startswith(PER_CAMERA))
    return [name for name in (*NUMBERS, *cameras, *TEXTS) if name in table.columns]


def stored_bins(profile: dict[str, Any]) -> dict[str, Bins]:
    return {name: Bins(tuple(one["bins"]), tuple(one["counts"])) for name, one in profile["columns"].items()}


def bins_of(values: pd.Series) -> Bins:
    """Deciles or names of these values, none of which is null. A value that many share has a bin of its own."""
    if not pd.api.types.is_numeric_dtype(values):
        ranked = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
        names = sorted(name for name, _ in ranked[:_MOST_NAMES])
        return Bins(names, count(values, names).tolist())
    numbers = values.to_numpy(np.float64)
    cuts = np.quantile(numbers, _DECILES, method="lower") if len(numbers) else np.zeros(0)
    shared = cuts[1:][cuts[1:] == cuts[:-1]]
    edges = np.unique(np.concatenate([cuts, np.nextafter(shared, np.inf)])).tolist()
    return Bins(edges, count(values, edges).tolist())


def count(values: pd.Series, bins: Sequence[float] | Sequence[str]) -> Counts:
    """int64 [K + 1] of the values that are not null."""
    known = values.dropna()
    if bins and isinstance(bins[0], str):
        found = pd.Index(bins).get_indexer(pd.Index(known))
        places = np.where(found < 0, len(bins), found)
    else:
        places = np.searchsorted(np.asarray(bins, np.float64), known.to_numpy(np.float64), side="right")
    return np.bincount(places, minlength=len(bins) + 1).astype(np.int64)


def psi(before: Sequence[int] | Counts, after: Sequence[int] | Counts) -> float:
    """Population stability index of two histograms over the same bins: 0 for equal shares; symmetrical."""
    old, new = _shares(before), _shares(after)
    return float(((new - old) * np.log(new / old)).sum())


def chance(before: Sequence[int] | Counts, after: Sequence[int] | Counts) -> float:
    """What `psi` exceeds once in 1000 where both histograms are samples of one thing.

    It is then about (1/n + 1/m) times a chi-square variable of K - 1 degrees of freedom; its quantile is Wilson and
    Hilferty's (PNAS 17, 1931).
    """
    freedom = max(1, len(before) - 1)
    part = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - part + _ONE_IN_1000 * part**0.5) ** 3
    return float(quantile * (1.0 / max(1, sum(before)) + 1.0 / max(1, sum(after))))


def _shares(counts: Sequence[int] | Counts) -> npt.NDArray[np.float64]:
    smooth = np.asarray(counts, np.float64) + _PRIOR
    return np.asarray(smooth / smooth.sum(), np.float64)
