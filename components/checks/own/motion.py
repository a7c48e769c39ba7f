"""Channels against what is usual for them in this dataset: leaps, units, stuck sensors, mirrored grippers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.checks.own.rows import Floats, Rows, spread, usual

# A quantile over the episodes of a task that stands for the largest usual value: a minority of bad ones is above it.
UPPER = 0.75
# An episode that hardly moves is compared with at least this share of what is usual.
CALM = 0.25
# Angles beyond two turns are no radians.
MOST_RAD = 4 * np.pi
# A task decides what its gripper does where its mean, -1 open to 1 closed, is beyond this, and has one sign in this
# share of the episodes.
_DECIDED = 0.1
_AGREED = 0.9
# Least covariance of command and opening from which they go together.
_TOGETHER = 0.04
# Deviation of a gripper, as a share of its range, below which it is held still.
_SWING = 0.05


def motion(rows: Rows) -> dict[str, Floats]:
    """Columns [N]; each is 0, or the neutral number said here, where nothing can be compared.

    `motion_ratio`: how far the hand gets, over what is usual in the task (1); `state_jump`: the longest step of what
    moves together, over the usual longest one; `unit_ratio`: factor by which a channel is larger or smaller than usual
    in both place and motion (1); `stuck_excess`: share of the episode for which a channel stands still longer than
    usual; `gripper_inverted`: share of the episode for which a gripper does the opposite of the usual.
    """
    if not rows.can_compare:
        none, one = np.zeros(len(rows)), np.ones(len(rows))
        return {
            "motion_ratio": one,
            "state_jump": none,
            "unit_ratio": _beyond_units(rows),
            "stuck_excess": none,
            "gripper_inverted": none,
        }
    reach = rows.number("motion")
    return {
        "motion_ratio": _ratio(reach, usual(reach, rows.tasks)),
        "state_jump": _state_jump(rows),
        "unit_ratio": np.maximum(_unit_ratio(rows), _beyond_units(rows)),
        "stuck_excess": _stuck(rows),
        "gripper_inverted": _inverted(rows),
    }


def _ratio(values: Floats, over: Floats) -> Floats:
    return np.divide(values, over, out=np.ones_like(values), where=over > 0)


def _state_jump(rows: Rows) -> Floats:
    """Against the task and against the episode itself, whose two largest steps are left out: one goes, one returns."""
    largest, others = rows.vector("step_max"), rows.vector("step_third")
    usually = usual(largest, rows.tasks, UPPER)
    jumps = np.sqrt(_ratio(largest, usually) * _ratio(largest, np.maximum(others, CALM * usually)))
    return jumps.max(axis=1, initial=0.0)


def _unit_ratio(rows: Rows) -> Floats:
    """Other units scale start, place and motion alike; a jump or an unusual way scales one or two of them."""
    mean, std, start = rows.vector("mean"), rows.vector("std"), np.abs(rows.vector("start"))
    logs = np.stack([_log_ratio(values, rows) for values in (start, np.sqrt(mean**2 + std**2), std)])
    alike = (np.sign(logs) == np.sign(logs[0])).all(axis=0)
    factor = np.where(alike, np.abs(logs).min(axis=0), 0.0)
    measured = [number for number, channel in enumerate(rows.channels.all) if channel.steady]
    return np.exp(factor[:, measured].max(axis=1, initial=0.0))


def _log_ratio(values: Floats, rows: Rows) -> Floats:
    tiny = 1e-9
    return np.log(np.maximum(values, tiny)) - np.log(np.maximum(usual(values, rows.tasks), tiny))


def _beyond_units(rows: Rows) -> Floats:
    """What no dataset can make usual: angles of several turns that are said to be radians."""
    turning = [n for n, channel in enumerate(rows.channels.all) if channel.units == "rad" and channel.steady]
    extent = np.maximum(np.abs(rows.vector("low")), np.abs(rows.vector("high")))[:, turning]
    worst = extent.max(axis=1, initial=0.0)
    return np.where(worst > MOST_RAD, worst / np.pi, 1.0)


def _stuck(rows: Rows) -> Floats:
    measured = rows.channels.measured
    share = rows.vector("stuck_share")[:, measured]
    return np.maximum(0.0, share - usual(share, rows.tasks, 0.9)).max(axis=1, initial=0.0)


def _inverted(rows: Rows) -> Floats:
    found = np.zeros(len(rows))
    has_peers = rows.tasks >= 0
    for name in ("gripper_told", "gripper_felt"):
        found = np.maximum(found, has_peers * _opposite(rows.vector(name), rows).max(axis=1, initial=0.0))
    together = rows.vector("gripper_together")
    reference = usual(together, rows.tasks)
    swings = np.clip(_ratio(together, np.maximum(np.abs(reference), 1e-9)), -1.0, 1.0)
    known = (np.abs(reference) > _TOGETHER) & _swinging(rows)
    return np.maximum(found, np.where(known, _opposite(swings, rows), 0.0).max(axis=1, initial=0.0))


def _swinging(rows: Rows) -> npt.NDArray[np.bool_]:
    """[N, P]: whether both command and opening of a gripper move; one that is held still obeys nobody."""
    std = rows.vector("std")
    found = np.ones((len(rows), len(rows.channels.grippers)), bool)
    for number, gripper in enumerate(rows.channels.grippers):
        for column, (opened, closed) in ((gripper.action, gripper.action_range), (gripper.state, gripper.state_range)):
            found[:, number] &= std[:, column] > _SWING * abs(closed - opened)
    return found


def _opposite(level: Floats, rows: Rows) -> Floats:
    """`level` [N, G], -1..1: share of the way from what is usual to its mirror image; 0 where nothing is usual."""
    centre = usual(level, rows.tasks)
    away = np.abs(level - centre)
    agreed = usual(np.sign(level) * np.sign(centre), rows.tasks, 1.0 - _AGREED) > 0
    decided = agreed & (np.abs(centre) > _DECIDED) & (away > 4 * spread(level, rows.tasks, centre))
    mirrored = decided & (np.sign(level) != np.sign(centre))
    return np.where(mirrored, away / np.maximum(2 * np.abs(centre), 1e-9), 0.0)
