"""What a window counts in the loss, by the quality that the checks gave its episode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import RecordError
from components.dataset.episode_table import read_verdicts
from components.dataset.loading.episodes import part_lengths
from components.dataset.parts import Part


def window_weights(parts: Sequence[Part], verdicts: Path, exponent: float) -> npt.NDArray[np.float32] | None:
    """float32 [E] by rows of a loader over `parts`: quality ** exponent, 1 on average over all windows.

    None where `exponent` is 0: all count alike. An episode without quality counts 1. Raises `RecordError` where no
    episode has a quality above 0.
    """
    if not exponent:
        return None
    quality = _quality(parts, verdicts)
    if not np.nanmax(quality, initial=0.0) > 0:
        raise RecordError(
            "no training episode has a quality above 0",
            where=str(verdicts),
            hint="Run the stage check again, or set train.quality_weight to 0",
        )
    return powers(quality, np.concatenate([part_lengths(part) for part in parts]), exponent)


def powers(
    quality: npt.NDArray[np.float64], windows: npt.NDArray[np.int64], exponent: float
) -> npt.NDArray[np.float32]:
    """quality [E] to the power, as a multiple of its mean over the windows [E] of the episodes; NaN becomes 1."""
    # As shares of the best, so that no large exponent makes all of them 0.
    raised = (quality / np.nanmax(quality)) ** exponent
    known = ~np.isnan(raised)
    mean = np.average(raised[known], weights=windows[known])
    return np.where(known, raised / mean, 1.0).astype(np.float32)


def _quality(parts: Sequence[Part], verdicts: Path) -> npt.NDArray[np.float64]:
    """float64 [E], NaN where an episode has none."""
    judged = read_verdicts(verdicts)
    ids = pa.concat_arrays([_ids(part) for part in parts])
    found = judged["quality"].take(pc.index_in(ids, value_set=judged["episode_id"]))
    quality: npt.NDArray[np.float64] = found.to_numpy().astype(np.float64)
    return quality


def _ids(part: Part) -> pa.Array:
    ids = part.dataset.table(["episode_id"])["episode_id"].combine_chunks()
    return ids.take(part.rows).cast(pa.string())
