"""How commands and motion belong together: the lag between them, and the sums from which gains are fitted later."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from components.checks.channels import Channels, Pairing

Floats = npt.NDArray[np.float64]

# Shifts looked at, in ticks to either side.
MAX_LAG = 6
LAGS: npt.NDArray[np.int64] = np.arange(-MAX_LAG, MAX_LAG + 1)
# An episode is looked at in so many parts: labels may be wrong in one of them.
PARTS = 6
# Motion is explained by the command of its tick and by the one before.
TAPS = 2


def lag_scores(values: Floats, steps: Floats, channels: Channels) -> Floats:
    """Correlation of the commands with the motion at each shift of `LAGS`, over all paired dimensions.

    At shift k motion comes k ticks after its command. Correlated are steps with steps: those commanded, or those of
    the commanded place. 0 everywhere where nothing is paired or too little moves.
    """
    told, moved = [], []
    for pairing in channels.pairings:
        action = values[:, pairing.action]
        told.append(action[:-1] if pairing.delta else np.diff(action, axis=0))
        moved.append(steps[:, pairing.state])
    count = len(steps)
    if not told or count < 2 * MAX_LAG:
        return np.zeros(len(LAGS))
    one, other = _standard(np.concatenate(told, axis=1)), _standard(np.concatenate(moved, axis=1))
    padded = np.zeros((count + 2 * MAX_LAG, other.shape[1]))
    padded[MAX_LAG:-MAX_LAG] = other
    shifted = np.lib.stride_tricks.sliding_window_view(padded, count, axis=0)
    energy, own = (padded**2).sum(axis=1), (one**2).sum(axis=1)
    total = np.einsum("kmt,tm->k", shifted, one)
    within = np.lib.stride_tricks.sliding_window_view(energy, count).sum(axis=1)
    told_there = np.array([own[max(0, -lag) : count - max(0, lag)].sum() for lag in LAGS.tolist()])
    scale = np.sqrt(within * told_there)
    return np.divide(total, scale, out=np.zeros(len(LAGS)), where=scale > 0)


def _standard(values: Floats) -> Floats:
    """Each column about its mean, in units of its deviation; 0 where it never changes."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def wanted(values: Floats, pairing: Pairing) -> Floats:
    """[T - 1, P]: the step that was commanded in each tick; of a commanded place, the way that was left to it."""
    action = values[:-1, pairing.action]
    return action if pairing.delta else action - values[:-1, pairing.state]


def sums(values: Floats, steps: Floats, channels: Channels) -> Mapping[str, Floats]:
    """What gains are fitted to, as flat vectors.

    `parts`: for each pairing, as `split_parts` takes it apart, sums over each of `PARTS` stretches of the episode;
    `told_told`, `told_moved`, `moved_moved`: sums over the whole, of commanded steps (all that are steps, each with the
    one before it) with each other, with the steps of all measured channels, and of these with themselves.
    """
    starts = np.linspace(0, len(steps), PARTS + 1).round().astype(np.int64)[:-1]
    found, told = [np.zeros(0)], []
    for pairing in channels.pairings:
        taps = _taps(wanted(values, pairing))
        moved = steps[:, pairing.state]
        if pairing.delta:
            told.append(taps)
        found.append(_parts(taps, moved, pairing, starts))
    every = np.concatenate([taps[..., tap] for tap in range(TAPS) for taps in told], axis=1) if told else None
    measured = steps[:, channels.measured]
    return {
        "parts": np.concatenate(found),
        "told_told": (every.T @ every).ravel() if every is not None else np.zeros(0),
        "told_moved": (every.T @ measured).ravel() if every is not None else np.zeros(0),
        "moved_moved": np.einsum("ty,ty->y", measured, measured),
    }


def _taps(told: Floats) -> Floats:
    """[T, P, TAPS]: each command with those before it."""
    before = [told] + [np.concatenate([np.repeat(told[:1], tap, axis=0), told[:-tap]]) for tap in range(1, TAPS)]
    return np.stack(before, axis=-1)


def _parts(taps: Floats, moved: Floats, pairing: Pairing, starts: npt.NDArray[np.int64]) -> Floats:
    """Steps in space go together, with all commands of the pairing; a commanded place moves its own dimension alone."""
    count = len(moved)
    if pairing.delta:
        told, to = taps.reshape(count, 1, taps.shape[1] * TAPS), moved[:, None, :]
    else:
        told, to = taps, moved[:, :, None]
    both = told[..., None] * np.concatenate([told, to], axis=-1)[:, :, None, :]
    if not count:
        return np.zeros(PARTS * (math.prod(both.shape[1:]) + math.prod(to.shape[1:])))
    # An empty stretch of a very short episode would repeat the sums of the next one.
    empty = np.diff(np.append(starts, count)) == 0
    summed = [np.add.reduceat(array, np.minimum(starts, count - 1), axis=0) for array in (both, to**2)]
    for array in summed:
        array[empty] = 0.0
    return np.concatenate([array.ravel() for array in summed])


def split_parts(flat: Floats, channels: Channels) -> list[tuple[Floats, Floats, Floats]]:
    """Takes `parts` [N, K] apart, per pairing: told by told [N, PARTS, D, k, k], told by moved [N, PARTS, D, k, m], and
    moved squared [N, PARTS, D, m]. Each of the D blocks has gains of its own.
    """
    found, at = [], 0
    for pairing in channels.pairings:
        width = len(pairing.state)
        blocks, told, moved = (1, TAPS * width, width) if pairing.delta else (width, TAPS, 1)
        size, rest = PARTS * blocks * told * (told + moved), PARTS * blocks * moved
        both = flat[:, at : at + size].reshape(-1, PARTS, blocks, told, told + moved)
        squares = flat[:, at + size : at + size + rest].reshape(-1, PARTS, blocks, moved)
        found.append((both[..., :told], both[..., told:], squares))
        at += size + rest
    return found


def gripper_levels(values: Floats, channels: Channels) -> Mapping[str, Floats]:
    """Means of each gripper command [G], and of each opening [P] with its covariance; -1 is open, 1 closed."""
    told = np.array([closing(values[:, column], span).mean() for column, span in channels.gripper_commands])
    pairs = [
        (closing(values[:, g.action], g.action_range), closing(values[:, g.state], g.state_range))
        for g in channels.grippers
    ]
    felt = [state.mean() for _, state in pairs]
    together = [float(((told - told.mean()) * (state - state.mean())).mean()) for told, state in pairs]
    return {
        "gripper_told": told.reshape(-1),
        "gripper_felt": np.array(felt, np.float64),
        "gripper_together": np.array(together, np.float64),
    }


def closing(values: Floats, span: tuple[float, float]) -> Floats:
    """-1 where a gripper is wholly open, 1 where it is wholly closed."""
    opened, closed = span
    return np.clip(2.0 * (values - opened) / (closed - opened) - 1.0, -1.0, 1.0)
