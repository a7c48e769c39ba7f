"""Places of faults in the numbers: channels, and the ticks at which they are wrong."""

from __future__ import annotations

import numpy as np

from components.checks.channels import TIME
from components.checks.locate.subject import Place, Subject, arriving, longest, runs, whole
from components.checks.measure.coupling import closing
from components.checks.own.motion import CALM, MOST_RAD
from components.checks.own.rows import Floats

# Share of a squared step that a channel must have for it to be named.
_PART = 0.25
# Quantiles that stand for the largest usual step, and the longest usual rest.
_STEP, _REST = 0.75, 0.9


def nan(subject: Subject) -> list[Place]:
    bad = ~np.isfinite(subject.raw)
    found = [
        subject.channel(number, f"{int(bad[:, number].sum())} values are no numbers", bad[:, number])
        for number in np.flatnonzero(bad.any(axis=0)).tolist()
    ]
    late = ~np.isfinite(subject.time_s)
    if late.any():
        found.append(Place("stream", TIME, "the time is no number", runs(late)))
    return found + [
        Place("stream", row["stream"], f"{row['nan_count']} recorded samples are no numbers")
        for row in subject.streams
        if row["nan_count"]
    ]


def action_out_of_range(subject: Subject) -> list[Place]:
    part = subject.channels.action
    return _outside(subject, part.start, subject.channels.low[part], subject.channels.high[part])


def joint_limit(subject: Subject) -> list[Place]:
    return _outside(subject, subject.channels.measured.start, subject.channels.reach_low, subject.channels.reach_high)


def _outside(subject: Subject, start: int, lows: Floats, highs: Floats) -> list[Place]:
    """Channels from `start` on that leave their limits."""
    found = []
    for number, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True), start):
        values = subject.raw[:, number]
        # As the measure does, forgives what float32 rounds.
        slack = 1e-5 * max(abs(limit) if np.isfinite(limit) else 0.0 for limit in (low, high))
        beyond = np.maximum(low - slack - values, values - high - slack)
        if (beyond > 0).any():
            worst = float(values[np.nanargmax(beyond)])
            note = f"reaches {worst:g} {_units(subject, number)}, the limits are {low:g} and {high:g}"
            found.append(subject.channel(number, note, beyond > 0))
    return found


def state_jump(subject: Subject) -> list[Place]:
    """Ways in a tick of what moves together, measured as the verdict measures the longest."""
    limit, found = subject.limit("state_jump"), []
    usually = subject.usual("step_max", _STEP)
    for group, longest_usual in zip(subject.channels.steady_groups, usually.tolist(), strict=True):
        steps = subject.steps[:, list(group)]
        size = np.linalg.norm(steps, axis=1)
        others = max(float(np.sort(size)[-3]) if len(size) > 2 else 0.0, CALM * longest_usual, 1e-30)
        guilty = size / np.sqrt(max(longest_usual, 1e-30) * others) > limit
        for place in np.flatnonzero(guilty.any() and (steps[guilty] ** 2).max(axis=0) >= _part(size[guilty])).tolist():
            far = np.abs(steps[guilty][:, place]).max()
            note = f"a step of {far:.3g} {_units(subject, group[place])}, together {size.max():.3g}"
            note += f"; the longest is usually {longest_usual:.3g}"
            found.append(subject.channel(group[place], note, arriving(guilty)))
    return found


def _part(size: Floats) -> float:
    """Square of the part of a step from which on a channel is named."""
    return _PART * float((size**2).max(initial=0.0))


def unit_mismatch(subject: Subject) -> list[Place]:
    found = []
    for number in np.flatnonzero(subject.channels.steady).tolist():
        values = subject.values[:, number]
        factor = _factor(subject, number)
        if subject.channels.all[number].units == "rad" and np.abs(values).max() > MOST_RAD:
            note = f"reaches {np.abs(values).max():.4g}, which is no angle in rad"
            found.append(subject.channel(number, note, np.abs(values) > MOST_RAD))
        elif factor > subject.limit("unit_ratio"):
            found.append(subject.channel(number, f"start, place and motion differ {factor:.3g}-fold from the usual"))
    return found


def _factor(subject: Subject, number: int) -> float:
    """By how much start, place and motion are all larger, or all smaller, than usual."""
    rows = subject.rows
    mean, std = rows.vector("mean")[:, number], rows.vector("std")[:, number]
    kinds = (np.abs(rows.vector("start")[:, number]), np.sqrt(mean**2 + std**2), std)
    same = rows.tasks == rows.tasks[subject.number]
    same = same if rows.tasks[subject.number] >= 0 else np.ones(len(rows), bool)
    logs = [np.log(max(k[subject.number], 1e-9)) - np.log(max(float(np.median(k[same])), 1e-9)) for k in kinds]
    alike = len({bool(one > 0) for one in logs}) == 1
    return float(np.exp(min(abs(one) for one in logs))) if alike else 1.0


def constant_dim(subject: Subject) -> list[Place]:
    excess = subject.own("stuck_share") - subject.usual("stuck_share", _REST)
    found = []
    for number in range(*subject.channels.measured.indices(len(subject.channels))):
        if excess[number] > subject.limit("stuck_excess"):
            rest = longest(subject.steps[:, number] == 0.0)
            note = f"keeps its value for {rest.sum()} ticks, {excess[number]:.0%} of the episode more than usual"
            found.append(subject.channel(number, note, arriving(rest)))
    return found


def gripper_inverted(subject: Subject) -> list[Place]:
    channels = subject.channels
    told = [(*command, "gripper_told", place) for place, command in enumerate(channels.gripper_commands)]
    felt = [(g.state, g.state_range, "gripper_felt", place) for place, g in enumerate(channels.grippers)]
    found = []
    for number, span, name, place in (*told, *felt):
        level, normal = float(subject.own(name)[place]), float(subject.usual(name)[place])
        if np.sign(level) != np.sign(normal):
            against = np.sign(closing(subject.values[:, number], span)) != np.sign(normal)
            note = f"is {_closed(level):.0%} closed on average, usually {_closed(normal):.0%}"
            found.append(subject.channel(number, note, against))
    return found or whole("commands and opening go against each other, usually they go together")


def _closed(level: float) -> float:
    """The share of its way, of a level from -1 open to 1 closed."""
    return (level + 1.0) / 2.0


def idle(subject: Subject) -> list[Place]:
    unit = "m" if subject.channels.has_metres else subject.channels.all[int(subject.channels.hand[0])].units
    note = f"gets {subject.own('motion'):.3g} {unit} away from where it starts, usually {subject.usual('motion'):.3g}"
    return [Place("channel", "the hand", note, runs(arriving(~subject.moving)))]


def _units(subject: Subject, number: int) -> str:
    return subject.channels.all[number].units
