"""Dimensions in each other's place: two channels that fit the dataset's own poses or dynamics better when exchanged."""

from __future__ import annotations

import numpy as np

from components.checks.measure.coupling import TAPS
from components.checks.own.gains import Sums, fit, gain_groups, per_tick_weight
from components.checks.own.rows import Floats, Rows, spread, usual

# Poses further than this many spreads from the usual one are all alike far.
_FAR = 10.0
# Least spread of a pose, as a share of the way that a channel goes.
_POSE = 0.02


def wrong_order(rows: Rows) -> Floats:
    """[N]: how much better two dimensions of one group fit in each other's place; 0 where nothing can be compared.

    By pose: 1 where both are wholly out of place and exchanged they are not. By motion: the share of it that is
    explained when two commands, or two measured channels, change places, and is not as they are.
    """
    if not rows.can_compare:
        return np.zeros(len(rows))
    return np.maximum(_by_pose(rows), _by_motion(rows))


def _by_pose(rows: Rows) -> Floats:
    """Of any two channels of one role: commands, state, or what is kept beside it."""
    found = np.zeros(len(rows))
    least = np.maximum(_POSE * _way(rows), 1e-9)
    for values in (rows.vector("start"), rows.vector("mean")):
        centre = usual(values, rows.tasks)
        wide = np.maximum(spread(values, rows.tasks, centre), least)
        for role in ("state", "kept", "action"):
            for one, other in _of_role(rows, role):
                here = _far(values, centre, wide, one, one) + _far(values, centre, wide, other, other)
                there = _far(values, centre, wide, one, other) + _far(values, centre, wide, other, one)
                found = np.maximum(found, (here - there) / (2 * _FAR))
    return found


def _of_role(rows: Rows, role: str) -> list[tuple[int, int]]:
    """Pairs of channels that have a usual place; two commanded steps have none, but what they move."""
    every = rows.channels.all
    pairs = _pairs([number for number, channel in enumerate(every) if channel.role == role])
    steps = {column for pairing in rows.channels.pairings if pairing.delta for column in pairing.action}
    return [pair for pair in pairs if not steps.issuperset(pair)]


def _way(rows: Rows) -> Floats:
    """[N, C]: how far each channel usually goes in an episode; of commands at least a fair part of their range."""
    way = usual(rows.vector("high") - rows.vector("low"), rows.tasks, 0.9)
    span = np.where(np.isfinite(rows.channels.high - rows.channels.low), rows.channels.high - rows.channels.low, 0.0)
    is_action = np.arange(len(span)) >= rows.channels.action.start
    return np.maximum(way, np.where(is_action, span, 0.0))


def _far(values: Floats, centre: Floats, wide: Floats, column: int, place: int) -> Floats:
    return np.minimum(np.abs(values[:, column] - centre[:, place]) / wide[:, place], _FAR)


def _by_motion(rows: Rows) -> Floats:
    found = np.zeros(len(rows))
    told = rows.vector("told_told")
    count = round(told.shape[1] ** 0.5)
    if not count:
        return found
    both = rows.vector("told_moved").reshape(len(rows), 1, count, -1)
    sums = Sums(told.reshape(len(rows), 1, count, count), both, rows.vector("moved_moved")[:, None])
    ticks = np.maximum(1.0, rows.number("length") - 1)
    weight = per_tick_weight(sums.moved, ticks) * rows.channels.steady[rows.channels.measured]
    gains = fit(sums, gain_groups(rows), weight)
    here = sums.left(gains)[0][:, 0]
    whole = np.maximum((sums.moved * weight).sum(axis=(1, 2)), 1e-30)
    for order in _command_orders(rows, count):
        exchanged = Sums(sums.told[:, :, order][:, :, :, order], sums.both[:, :, order], sums.moved)
        found = np.maximum(found, ((here - exchanged.left(gains)[0][:, 0]) @ weight[0]) / whole)
    for one, other in _measured_pairs(rows):
        there = (
            _left_at(sums, gains, one, other) * weight[0, other] + _left_at(sums, gains, other, one) * weight[0, one]
        )
        stays = here[:, one] * weight[0, one] + here[:, other] * weight[0, other]
        pair = sums.moved[:, 0, [one, other]] @ weight[0, [one, other]]
        found = np.maximum(found, np.divide(stays - there, pair, out=np.zeros(len(rows)), where=pair > 0))
    return found


def _left_at(sums: Sums, gains: Floats, column: int, place: int) -> Floats:
    """[N]: what is left of the motion of one channel when it is explained as that of another."""
    alone = Sums(sums.told, sums.both[..., [column]], sums.moved[..., [column]])
    return alone.left(gains[..., [place]])[0][:, 0, 0]


def _command_orders(rows: Rows, count: int) -> list[list[int]]:
    """Orders of the taps of all commanded steps in which two commands of one group have changed places."""
    orders, start, steps = [], 0, count // TAPS
    for pairing in rows.channels.pairings:
        if pairing.delta:
            for one, other in _pairs(list(range(start, start + len(pairing.action)))):
                order = np.arange(count).reshape(TAPS, steps)
                order[:, [one, other]] = order[:, [other, one]]
                orders.append(order.ravel().tolist())
            start += len(pairing.action)
    return orders


def _measured_pairs(rows: Rows) -> list[tuple[int, int]]:
    """Pairs of steady measured channels of one group."""
    return [pair for group in rows.channels.steady_groups for pair in _pairs(list(group))]


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    return [(one, other) for place, one in enumerate(numbers) for other in numbers[place + 1 :]]
