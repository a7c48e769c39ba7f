"""Commands that leap for a single tick and that the robot did not follow: what a lost packet leaves in a recording."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.checks.channels import Channels, Pairing

Floats = npt.NDArray[np.float64]

# Motion is explained by the command of its tick and by those this many ticks before.
_TAPS = 3
# Leaps below this share of the range are none.
_LEAST = 0.2
# Leaps of one episode that are looked at, the largest first.
_MOST = 16
_RIDGE = 1e-3


def leap(values: Floats, steps: Floats, channels: Channels) -> float:
    """How far the command of a single tick leaves both its neighbours, at most, in ranges of the commands (Euclidean).

    A step that stays is no leap, and neither is a gripper that opens. Where it is known what the commands move, a leap
    counts by the share of it that the motion did not follow: what an operator or an expert does in one tick, the robot
    does too.
    """
    alone = alone_of(values[:, channels.action], channels)
    size = np.sqrt((alone**2).sum(axis=1))
    ticks = np.flatnonzero(size > _LEAST)
    ticks = ticks[np.argsort(-size[ticks], kind="stable")][:_MOST]
    if not len(ticks):
        return float(size.max(initial=0.0))
    missed, expected = np.zeros(len(ticks)), np.zeros(len(ticks))
    for pairing in channels.pairings:
        columns = np.array(pairing.action) - channels.action.start
        span = _range(channels)[columns]
        part = _missed(values, steps, pairing, alone[ticks][:, columns] * span, ticks + 1)
        missed, expected = missed + part[0], expected + part[1]
    share = np.where(expected > 0, np.clip(missed / np.maximum(expected, 1e-30), 0.0, 1.0), 1.0)
    return float((size[ticks] * share).max())


def alone_of(action: Floats, channels: Channels) -> Floats:
    """[T - 2, A]: by how much each command but the first and the last leaves both its neighbours, in ranges."""
    if len(action) < 3:
        return np.zeros((0, action.shape[1]))
    before, after = action[1:-1] - action[:-2], action[1:-1] - action[2:]
    away = np.where(before * after > 0, np.sign(before) * np.minimum(np.abs(before), np.abs(after)), 0.0)
    return away / _range(channels)


def _range(channels: Channels) -> Floats:
    """[A]; infinite for grippers."""
    span = channels.high[channels.action] - channels.low[channels.action]
    scale = np.where(np.isfinite(span) & (span > 0), span, 1.0)
    for column, _ in channels.gripper_commands:
        scale[column - channels.action.start] = np.inf
    return scale


def _missed(
    values: Floats, steps: Floats, pairing: Pairing, leaps: Floats, ticks: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of the motion that each of `leaps` [n, P] at `ticks` [n] should have made: what is missing, and all of it [n].

    A matched filter: motion that the episode's own commands leave unexplained, against what a leap would have moved.
    """
    action, moved = values[:, pairing.action], steps[:, pairing.state]
    told = action[:-1] if pairing.delta else np.diff(action, axis=0, prepend=action[:1])[:-1]
    taps = np.stack(
        [np.concatenate([np.repeat(told[:1], tap, axis=0), told[: len(told) - tap]]) for tap in range(_TAPS)]
    )
    gains = _gains(taps, moved)
    left = moved - np.einsum("ktp,pk->tp", taps, gains)
    # What a leap of one does to the motion of the ticks after it: a place that leaps is left again.
    response = gains if pairing.delta else np.diff(gains, axis=1, prepend=0.0, append=0.0)
    missed, expected = np.zeros(len(ticks)), np.zeros(len(ticks))
    for after in range(response.shape[1]):
        at = ticks + after
        there = at < len(moved)
        motion = np.where(there[:, None], response[:, after] * leaps, 0.0)
        missed -= (left[np.minimum(at, len(moved) - 1)] * motion).sum(axis=1)
        expected += (motion**2).sum(axis=1)
    return missed, expected


def _gains(taps: Floats, moved: Floats) -> Floats:
    """[P, taps] by least squares, each dimension for itself."""
    square = np.einsum("ktp,ltp->pkl", taps, taps)
    trace = np.einsum("pkk->p", square)
    square += (_RIDGE * trace + 1e-12)[:, None, None] * np.eye(len(taps))
    found: Floats = np.linalg.solve(square, np.einsum("ktp,tp->pk", taps, moved)[..., None])[..., 0]
    return found
