"""How far the exported graph is from what it was exported from, on real frames, per action dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import GateRefused
from components.core.spec import ActionSpec

Policy = Callable[[Mapping[str, npt.NDArray]], npt.NDArray[np.float32]]
BATCHES = (1, 2, 3)


def measure(
    reference: Policy,
    candidate: Policy,
    inputs: Mapping[str, npt.NDArray],
    action: ActionSpec,
    *,
    names: tuple[str, str],
) -> dict[str, Any]:
    """Runs both over all N inputs in batches of 1, 2 and 3; `names` of reference and candidate go into the result.

    Differences are taken before the clamp, which would hide them, and scaled to physical units:
    {"reference", "candidate", "samples", "max_abs", "per_batch": {batch: {"max_abs": {dim: x}, "rms": {dim: x}}}}.
    A NaN in either counts as an infinite difference and is written as null.
    """
    scale = (np.asarray(action.high) - np.asarray(action.low)) / 2.0
    per_batch: dict[str, Any] = {}
    for batch in BATCHES:
        found = _differences(reference, candidate, inputs, batch) * scale
        flat = found.reshape(-1, action.dim)
        per_batch[str(batch)] = {
            "max_abs": _by_name(action, np.abs(flat).max(axis=0)),
            "rms": _by_name(action, np.sqrt(np.mean(flat**2, axis=0))),
        }
    largest = [value for entry in per_batch.values() for value in entry["max_abs"].values()]
    return {
        "reference": names[0],
        "candidate": names[1],
        "samples": len(next(iter(inputs.values()))),
        "units": {name: group.units for group in action.groups for name in group.names},
        "per_batch": per_batch,
        "max_abs": None if None in largest else max(largest),
    }


def require_parity(parity: Mapping[str, Any], limit: float, *, where: str) -> None:
    """Raises `GateRefused` naming the batch and the action dimension that differ by more than `limit`."""
    for batch, entry in parity["per_batch"].items():
        for name, value in entry["max_abs"].items():
            if value is None or value > limit:
                found = "NaN" if value is None else f"{value:.3g}"
                raise GateRefused(
                    f"action {name} of {parity['candidate']} differs from {parity['reference']} by {found} "
                    f"at batch {batch}, the limit is {limit:g}",
                    where=where,
                    hint="Look for an operator that the exporter translates differently",
                )


def _differences(
    reference: Policy, candidate: Policy, inputs: Mapping[str, npt.NDArray], batch: int
) -> npt.NDArray[np.float64]:
    count = len(next(iter(inputs.values())))
    parts = []
    for start in range(0, count, batch):
        part = {name: tensor[start : start + batch] for name, tensor in inputs.items()}
        with np.errstate(invalid="ignore"):  # infinity minus infinity is a NaN, and counts as one
            parts.append(candidate(part).astype(np.float64) - reference(part).astype(np.float64))
    return np.concatenate(parts)


def _by_name(action: ActionSpec, values: npt.NDArray[np.float64]) -> dict[str, float | None]:
    finite = [float(value) if np.isfinite(value) else None for value in values]
    return dict(zip(action.names, finite, strict=True))
