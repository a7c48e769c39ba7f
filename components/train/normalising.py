"""How the numbers of one embodiment reach the policy, fitted to the statistics of its own episodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from components.core.spec import Embodiment
from components.core.train_params import Normalise as How
from components.dataset.layout import ACTION, STATE
from components.dataset.stats import RunningStats
from components.train.base import MEAN_STD, QUANTILES, Base
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles
from components.transforms.steps import Bounds, Normalise, WordTokens

Values = npt.NDArray[np.float64]


def fit_transforms(
    body: Embodiment, running: Mapping[str, RunningStats], how: How, tokens: WordTokens, base: Base | None = None
) -> PolicyTransforms:
    """`running`: statistics of states and actions of the training episodes of `body`; `base` takes their place.

    Raises `ContractError` where the base does not hold what `how` asks for.
    """
    width = len(body.observation.state_names)
    low, high = _pair(running, base, STATE, QUANTILES if how.state == "q01_q99" else MEAN_STD, width)
    state = Quantiles(_plain(low), _plain(high)) if how.state == "q01_q99" else Normalise(_plain(low), _plain(high))
    if how.actions == "limits":
        return PolicyTransforms(body, state, tokens)
    spread = _pair(running, base, ACTION, QUANTILES, body.action.dim)
    return PolicyTransforms(body, state, tokens, action_bounds(body, *spread))


def action_bounds(body: Embodiment, q01: Values, q99: Values) -> Bounds:
    """Quantiles [A] within the limits; a gripper, and what did not move in the data, keeps the limits themselves.

    A gripper is open or closed almost always: quantiles would cut off one of the two where it is rare.
    """
    low, high = np.asarray(body.action.low), np.asarray(body.action.high)
    inside_low, inside_high = np.clip(q01, low, high), np.clip(q99, low, high)
    grippers = [group.gripper_open is not None for group in body.action.groups for _ in group.names]
    keeps = np.asarray(grippers) | ~(inside_low < inside_high)
    return Bounds(_plain(np.where(keeps, low, inside_low)), _plain(np.where(keeps, high, inside_high)))


def _pair(
    running: Mapping[str, RunningStats], base: Base | None, key: str, names: tuple[str, str], width: int
) -> tuple[Values, Values]:
    if base is not None:
        return base.pair(key, names, width)
    found = running[key].result()
    return found[names[0]], found[names[1]]


def _plain(values: Values) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
