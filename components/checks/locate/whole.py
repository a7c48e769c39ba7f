"""Faults that are of the episode as such: what it is compared with, and what is odd about it."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.compute as pc

from components.checks.locate.subject import Flags, Place, Subject, whole
from components.checks.own.drift import LEAST_OF, PAST
from components.checks.own.rows import usual

# Columns of the episode table that say how odd a feature is.
_ODD = "odd_"
# Odd features that are named.
_NAMED = 3


def missing_language(subject: Subject) -> list[Place]:
    return whole(f"the instruction is {subject.judged['instruction']!r}")


def instruction_mismatch(subject: Subject) -> list[Place]:
    rows = subject.rows
    said = subject.judged["instruction"]
    tasks = rows.table.filter(pc.equal(rows.table["instruction"], said))["task"]
    counts = sorted(((one["counts"], one["values"]) for one in pc.value_counts(tasks).to_pylist()), reverse=True)
    return whole(f"{said!r} is said in {counts[0][0]} episodes of {counts[0][1]}, this one is {subject.judged['task']}")


def too_short(subject: Subject) -> list[Place]:
    return whole(f"{subject.judged['length']:.0f} ticks, {subject.judged['length'] / subject.dataset.fps:.2f} s")


def duplicate_episode(subject: Subject) -> list[Place]:
    return whole(f"the same recording as {_named(subject, subject.judged['duplicate_of'])}")


def split_leak(subject: Subject) -> list[Place]:
    side, other = subject.judged["split"], subject.judged["leak_of"]
    return whole(f"is in {side}, and {_named(subject, other)} is the same recording on the other side")


def _named(subject: Subject, episode_id: str) -> str:
    table = subject.rows.table
    row = pc.index(table["episode_id"], episode_id).as_py()
    if row < 0:
        return f"episode {episode_id[:12]}"
    index, uri = (table[name][row].as_py() for name in ("episode_index", "source_uri"))
    return f"episode {index} ({episode_id[:12]}, {uri or 'no source'})"


def outlier_episode(subject: Subject) -> list[Place]:
    """The oddest features."""
    odd = {str(name): value for name, value in subject.judged.items() if str(name).startswith(_ODD) and value}
    names = sorted(odd, key=lambda name: (-abs(odd[name]), name))[:_NAMED]
    return [Place("episode", name.removeprefix(_ODD), _oddity(subject, name, odd[name])) for name in names]


def _oddity(subject: Subject, name: str, away: float) -> str:
    feature = name.removeprefix(_ODD)
    said = f"{abs(away):.1f} spreads {'above' if away > 0 else 'below'} the others of its task"
    if feature not in subject.rows.table.column_names:
        return said
    return f"is {subject.own(feature):.4g}, usually {subject.usual(feature):.4g}: {said}"


def calibration_drift(subject: Subject) -> list[Place]:
    """Channels whose start is off from the robot's earlier episodes: in this task, or where there are none, in all."""
    rows = subject.rows
    start, when = rows.vector("start"), np.array(rows.text("recorded_at"))
    earlier = when < when[subject.number]
    of_robot = _same(subject, "robot_id", "calibration_digest") & earlier
    of_task = _same(subject, "robot_id", "calibration_digest", "task") & earlier
    values, past = (start, of_task) if of_task.sum() >= PAST else (start - usual(start, rows.tasks), of_robot)
    found = []
    for number in np.flatnonzero(subject.channels.steady).tolist() if past.any() else []:
        channel = subject.channels.all[number]
        shift = float(values[subject.number, number] - np.median(values[past, number]))
        if (size := abs(shift) / LEAST_OF.get(channel.units, math.inf)) > 1:
            note = f"begins {shift:+.4f} {channel.units} from where {subject.judged['robot_id'] or 'it'} began before"
            found.append((size, Place("channel", channel.path, note, ((0, 0),))))
    return [place for _, place in sorted(found, key=lambda item: -item[0])]


def _same(subject: Subject, *names: str) -> Flags:
    groups = subject.rows.groups(*names)
    return groups == groups[subject.number]


def no_consent(subject: Subject) -> list[Place]:
    who = subject.judged["collector_id"] or "nobody who is named"
    return whole(f"collected by {who}; the recording names no consent")


def licence_forbids(subject: Subject) -> list[Place]:
    return whole(f"the licence is {subject.rows.text('licence')[subject.number]!r}")


def unmeasured(subject: Subject) -> list[Place]:
    empty = [name for name, value in subject.judged.items() if value is None or value != value]
    return whole(f"no number in {', '.join(empty)}")
