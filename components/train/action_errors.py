"""How far predicted actions are from the recorded ones, by dimension and by how far ahead they lie."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import RecordError
from components.core.files import read_json
from components.core.spec import ActionGroup, Embodiment
from components.transforms.chain import PolicyTransforms

FILE_NAME = "action_errors.json"
CSV_NAME = "action_errors.csv"
# Digits that are kept: sums in another order, over more processes, then give the same bytes.
_DIGITS = 6

Array = npt.NDArray[np.float64]


class ActionErrors:
    """Sums over a pass of validation; steps past the end of an episode are left out.

    `sums`: float64 [3, H, A] of absolute errors in physical units, of normalised ones, and of how often a gripper's
    command was on the recorded side of its middle; `counts`: float64 [H] windows. `horizon`: H.
    """

    def __init__(self, transforms: PolicyTransforms, horizon: int) -> None:
        self._transforms = transforms
        self._middles = gripper_middles(transforms.embodiment)
        self.sums = np.zeros((3, horizon, len(self._middles)))
        self.counts = np.zeros(horizon)

    def clear(self) -> None:
        self.sums, self.counts = np.zeros_like(self.sums), np.zeros_like(self.counts)

    def update(
        self, predicted: npt.NDArray[np.floating], target: npt.NDArray[np.floating], mask: npt.NDArray[np.floating]
    ) -> None:
        """Takes in a batch: predicted and target [B, H, A] normalised, mask [B, H], 0 past the end of an episode.

        Physical means as a robot would be told: cut to its limits. An error of a prediction that is not finite is NaN.
        """
        finite = np.isfinite(predicted)
        told = self._transforms.outputs(np.where(finite, predicted, 0.0)).astype(np.float64)
        recorded = self._transforms.outputs(target).astype(np.float64)
        physical = np.where(finite, np.abs(told - recorded), np.nan)
        normalised = np.abs(predicted.astype(np.float64) - target)
        agreed = np.where(finite, (told > self._middles) == (recorded > self._middles), np.nan)
        kept = mask.astype(bool)
        self.sums = self.sums + np.stack([_sum(values, kept) for values in (physical, normalised, agreed)])
        self.counts = self.counts + kept.sum(axis=0)

    def report(self, step: int) -> dict[str, Any]:
        """What `action_errors.json` holds, of the training step `step`.

        {"step", "windows": [H], "dimensions": [{"name", "unit", "error": [H], "normalised": [H]}]}, a gripper's
        dimensions also with "agreement": [H], the share of commands to the recorded side. Null where nothing counted.
        """
        counted = np.where(self.counts > 0, self.counts, np.nan)
        means = self.sums / counted[:, None]
        dimensions = []
        for place, (name, unit) in enumerate(dimensions_of(self._transforms.embodiment)):
            entry = {"name": name, "unit": unit, "error": _plain(means[0, :, place])}
            entry["normalised"] = _plain(means[1, :, place])
            if not np.isnan(self._middles[place]):
                entry["agreement"] = _plain(means[2, :, place])
            dimensions.append(entry)
        return {"step": step, "windows": [int(count) for count in self.counts], "dimensions": dimensions}


def dimensions_of(body: Embodiment) -> list[tuple[str, str]]:
    """(name, unit) of each action dimension. A name that two groups share is led by the name of its group."""
    names = body.action.names
    return [
        (name if names.count(name) == 1 else f"{group.name}.{name}", group.units)
        for group in body.action.groups
        for name in group.names
    ]


def gripper_middles(body: Embodiment) -> Array:
    """float64 [A]: halfway between a gripper's open and closed; NaN where a dimension is no gripper's."""
    return np.array([_middle(group) for group in body.action.groups for _ in group.names])


def errors_csv(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per policy, horizon (steps ahead, from 0) and dimension: `reports` are those of `ActionErrors` by name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "horizon", "dimension", "error", "unit", "normalised"])
    for name, report in reports.items():
        for dimension in report["dimensions"]:
            both = zip(dimension["error"], dimension["normalised"], strict=True)
            writer.writerows(
                [name, ahead, dimension["name"], error, dimension["unit"], normalised]
                for ahead, (error, normalised) in enumerate(both)
            )
    return text.getvalue()


def read_reports(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The last report of each job below `folder` that left one. Raises `RecordError` where one is damaged."""
    found = {}
    for name in names:
        path = folder / name / FILE_NAME
        if path.is_file():
            try:
                found[name] = dict(read_json(path))
            except ValueError as error:
                raise RecordError(f"not JSON: {error}", where=str(path), hint="Train again") from error
    return found


def _middle(group: ActionGroup) -> float:
    if group.gripper_open is None or group.gripper_closed is None:
        return float("nan")
    return (group.gripper_open + group.gripper_closed) / 2


def _sum(values: Array, kept: npt.NDArray[np.bool_]) -> Array:
    """[B, H, A] over the batch where `kept` [B, H]."""
    # Not a product: what is not finite past the end of an episode would stay.
    summed: Array = np.where(kept[:, :, None], values, 0.0).sum(axis=0)
    return summed


def _plain(values: Array) -> list[float | None]:
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values]
