"""How states and actions were scaled by another trainer, and the same scaling in ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.errors import ContractError
from components.core.spec import Embodiment
from components.transforms.steps import Bounds, Normalise

Values = npt.NDArray[np.float64]
# Feature -> min, max, mean, std and quantiles, as far as the trainer kept them.
Stats = Mapping[str, Mapping[str, Values]]
Form = Literal["mean_std", "min_max", "q01_q99", "identity"]

# The features as `components.dataset.layout` calls them, which this layer does not import.
STATE, ACTION = "observation.state", "action"
_NEEDED: dict[Form, tuple[str, str]] = {
    "mean_std": ("mean", "std"),
    "min_max": ("min", "max"),
    "q01_q99": ("q01", "q99"),
}
# Scales below it stand for a dimension that never moved.
_STILL = 1e-8
_EPSILON = 1e-3


@dataclass(frozen=True)
class Forms:
    """How a layout scales states and actions."""

    state: Form
    action: Form


@dataclass(frozen=True)
class Scaling:
    """physical = normalised * `scale` + `shift`, [D] each."""

    scale: Values
    shift: Values

    def state(self) -> Normalise:
        """The same for states. A dimension that never moved is divided by the smallest scale there is, not by zero."""
        moved = self.scale[self.scale > _STILL]
        return Normalise(_plain(self.shift), _plain(self.scale), min(_EPSILON, moved.min(initial=_EPSILON)))

    def bounds(self, body: Embodiment) -> Bounds:
        """The same for actions of a form that maps a range to [-1, 1]; what never moved keeps its limits."""
        low, high = self.shift - self.scale, self.shift + self.scale
        still = self.scale <= _STILL
        return Bounds(_plain(np.where(still, body.action.low, low)), _plain(np.where(still, body.action.high, high)))


def scaling(stats: Stats, feature: str, form: Form, width: int) -> Scaling:
    """Raises `ContractError` where the statistics are not there, or of another width."""
    if form == "identity":
        return Scaling(np.ones(width), np.zeros(width))
    first, second = _NEEDED[form]
    found = stats.get(feature, {})
    if first not in found or second not in found:
        raise ContractError(
            f"no {first} and {second} of {feature}, by which this checkpoint was normalised",
            hint="Name its statistics with --statistics, or take those of your data with --dataset",
        )
    one, other = (_cut(np.asarray(found[name], np.float64), feature, width) for name in (first, second))
    if form == "mean_std":
        return Scaling(other, one)
    return Scaling((other - one) / 2.0, (other + one) / 2.0)


def _cut(values: Values, feature: str, width: int) -> Values:
    """Models of a fixed width have statistics of zeros behind those that count."""
    if len(values) < width or values[width:].any():
        raise ContractError(
            f"statistics of {len(values)} dimensions of {feature}, the embodiment has {width}",
            hint="Import it for the embodiment that it was trained on",
        )
    return values[:width]


def folded(
    weights: Mapping[str, Tensor], writers: tuple[str, ...], readers: tuple[str, ...], theirs: Scaling, body: Embodiment
) -> dict[str, Tensor]:
    """Linear layers that write and read normalised actions, for actions that are normalised by the limits of `body`.

    The policy answers the same physical actions as before; exact, as both scalings are affine.
    """
    low, high = np.asarray(body.action.low), np.asarray(body.action.high)
    half, centre = (high - low) / 2.0, (high + low) / 2.0
    moved = theirs.scale > _STILL
    back = np.where(moved, half / np.where(moved, theirs.scale, 1.0), 0.0)
    changed = dict(weights)
    for name in writers:
        weight, bias = (weights[f"{name}.{part}"].double() for part in ("weight", "bias"))
        gain = torch.from_numpy(theirs.scale / half)
        changed[f"{name}.weight"] = weight * gain[:, None]
        changed[f"{name}.bias"] = bias * gain + torch.from_numpy((theirs.shift - centre) / half)
    for name in readers:
        weight, bias = (weights[f"{name}.{part}"].double() for part in ("weight", "bias"))
        shift = np.where(moved, (centre - theirs.shift) / np.where(moved, theirs.scale, 1.0), 0.0)
        changed[f"{name}.weight"] = weight * torch.from_numpy(back)
        changed[f"{name}.bias"] = bias + weight @ torch.from_numpy(shift)
    return changed


def _plain(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
