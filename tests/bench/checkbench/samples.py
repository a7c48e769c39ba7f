"""Faults of what was measured and commanded. `docs/checks.md` says what each does and how strongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from checkbench.parts import (
    ACTION,
    ARM,
    GRIPPER,
    HAND,
    JOINTS,
    NUMERIC,
    Rng,
    numbers,
    part_of,
    pick,
    run_of,
    sign,
    with_stream,
)
from components.core.episode import Episode
from components.core.spec import SAWYER_CELL

# rad, of the joints 0 to 6 of a Sawyer.
JOINT_LOW = (-3.0503, -3.8095, -3.0426, -3.0439, -2.9761, -2.9761, -4.7124)
JOINT_HIGH = (3.0503, 2.2736, 3.0426, 3.0439, 2.9761, 2.9761, 4.7124)
LOW, HIGH = np.array(SAWYER_CELL.action.low), np.array(SAWYER_CELL.action.high)


def nan(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    name = pick(rng, NUMERIC)
    values = numbers(episode, name)
    lost = (1, part_of(0.05, len(values)), part_of(0.2, len(values)))[strength]
    values[run_of(rng, lost, len(values))] = np.nan
    return with_stream(episode, name, values=values)


def action_out_of_range(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    values, beyond = numbers(episode, ACTION), (0.01, 0.1, 1.0)[strength] * (HIGH - LOW)
    for row in rng.choice(len(values), part_of(0.1, len(values)), replace=False):
        column = int(rng.integers(values.shape[1]))
        up = sign(rng) > 0
        values[row, column] = HIGH[column] + beyond[column] if up else LOW[column] - beyond[column]
    return with_stream(episode, ACTION, values=values)


def action_jump(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    values = numbers(episode, ACTION)
    # Every other tick is a candidate, and neither end, so that each one is single.
    rows = 2 * rng.choice((len(values) - 1) // 2, (1, 2, 4)[strength], replace=False) + 1
    values[rows, :ARM] = np.where(values[rows, :ARM] >= 0, LOW[:ARM], HIGH[:ARM])
    return with_stream(episode, ACTION, values=values)


def state_jump(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    values = numbers(episode, HAND)
    first = int(rng.integers(len(values) // 3, 2 * len(values) // 3))
    values[first:] += (0.1, 0.2, 0.4)[strength] * _direction(rng)
    return with_stream(episode, HAND, values=values)


def joint_limit(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    values, beyond = numbers(episode, JOINTS), np.deg2rad((1.0, 5.0, 20.0)[strength])
    joint = int(rng.integers(values.shape[1]))
    where = run_of(rng, part_of(0.2, len(values)), len(values))
    values[where, joint] = JOINT_HIGH[joint] + beyond if sign(rng) > 0 else JOINT_LOW[joint] - beyond
    return with_stream(episode, JOINTS, values=values)


def unit_mismatch(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    factors = {HAND: 1000.0, JOINTS: float(np.rad2deg(1.0))}
    one = pick(rng, (HAND, JOINTS))
    for name in (HAND, JOINTS) if strength == 2 else (one,):
        values = numbers(episode, name)
        columns = [int(rng.integers(values.shape[1]))] if strength == 0 else slice(None)
        values[:, columns] *= factors[name]
        episode = with_stream(episode, name, values=values)
    return episode


def constant_dim(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    # Not the gripper: once closed it keeps its value, and nothing would be wrong.
    name = pick(rng, (HAND, JOINTS))
    values = numbers(episode, name)
    column = int(rng.integers(values.shape[1]))
    first = len(values) - part_of((0.5, 0.75, 1.0)[strength], len(values))
    values[first:, column] = values[first, column]
    return with_stream(episode, name, values=values)


def gripper_inverted(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    # The effort goes from -1 to 1, the opening from 0 to 1.
    name, column, ends = pick(rng, ((ACTION, ARM, LOW[ARM] + HIGH[ARM]), (GRIPPER, 0, 1.0)))
    values = numbers(episode, name)
    first = len(values) - part_of((0.5, 0.75, 1.0)[strength], len(values))
    values[first:, column] = ends - values[first:, column]
    return with_stream(episode, name, values=values)


def action_state_disagree(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    values = numbers(episode, ACTION)
    strange = numbers(pick(rng, [other for other in others if other.task != episode.task]), ACTION)
    where = run_of(rng, part_of((0.25, 0.5, 1.0)[strength], len(values)), len(values))
    # The same moment of the other episode; of one that is over by then, its last commands.
    first = max(0, min(where.start, len(strange) - (where.stop - where.start)))
    rows = np.minimum(first + np.arange(where.stop - where.start), len(strange) - 1)
    values[where] = strange[rows]
    return with_stream(episode, ACTION, values=values)


def wrong_dim_order(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    name = pick(rng, (ACTION, HAND, JOINTS))
    values = numbers(episode, name)
    order = np.arange(values.shape[1])
    two = rng.choice(len(order), 2, replace=False)
    order[two] = order[two[::-1]]
    first = len(values) // 2 if strength == 0 else 0
    values[first:] = values[first:, ::-1] if strength == 2 else values[first:, order]
    return with_stream(episode, name, values=values)


def calibration_drift(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """The episodes of one robot share their draws: all of them are off by the same."""
    name = pick(rng, (HAND, JOINTS))
    values = numbers(episode, name)
    if name == HAND:
        values += (0.005, 0.010, 0.020)[strength] * _direction(rng)
    else:
        values[:, int(rng.integers(values.shape[1]))] += sign(rng) * np.deg2rad((0.5, 1.0, 2.0)[strength])
    return with_stream(episode, name, values=values)


def _direction(rng: Rng) -> npt.NDArray[np.float64]:
    """A unit vector in space."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)
