"""A robot against its own past: the pose in which its episodes begin, which moves when an encoder or a mount does."""

from __future__ import annotations

import numpy as np

from components.checks.own.rows import NORMAL, Floats, Groups, Rows, members, usual

# Episodes of one robot in a row over which a shift must hold: one odd start is no drift.
WINDOW = 5
# Earlier episodes without which there is no past to compare with: of the robot in a task, and of the robot.
PAST = 5
_PAST_OF_ROBOT = 10
# Other tasks in which a robot must have begun where all robots do before that is expected of it in a new one.
_TASKS = 3
# The past is looked at anew when it has grown by one part in so many.
_REFRESH = 8
# Least shift that counts: as a share of the way that a channel goes in an episode, and by unit.
_LEAST = 0.01
LEAST_OF = {"m": 0.002, "cm": 0.2, "mm": 2.0, "rad": 0.004, "deg": 0.25}
# Spreads of the past that a shift must exceed.
_SPREADS = 4.0


def drift(rows: Rows) -> dict[str, Floats]:
    """`calibration_drift` [N]: how many times the least shift that counts the starts of a robot have moved; 0 for none.

    The past are earlier episodes of the same robot and calibration: a robot that was calibrated anew begins a new past.
    Compared are starts of the same task, and how far its starts are from those of all robots, now and in its other
    tasks. A shift counts for an episode where the median of `WINDOW` episodes of the robot
    in a row around it shares it.
    """
    columns = np.flatnonzero(rows.channels.steady)
    if not len(columns) or not rows.can_compare:
        return {"calibration_drift": np.zeros(len(rows))}
    start = rows.vector("start")[:, columns]
    way = np.median((rows.vector("high") - rows.vector("low"))[:, columns], axis=0)
    least = np.maximum(_LEAST * way, [LEAST_OF[rows.channels.all[column].units] for column in columns])
    place = np.empty(len(rows), np.int64)
    place[np.lexsort([rows.text("episode_id"), rows.text("recorded_at")])] = np.arange(len(rows))
    own_task = _in_time(start, rows.groups("robot_id", "calibration_digest", "task"), place, least, PAST)
    away = start - usual(start, rows.tasks)
    robots = rows.groups("robot_id", "calibration_digest")
    any_task = _in_time(away, robots, place, least, _PAST_OF_ROBOT)
    any_task[_earlier_tasks(robots, rows.groups("task"), place) < _TASKS] = np.nan
    # Where the past of a task begins after the shift, only the other tasks know.
    is_larger = np.isnan(own_task) | (np.abs(any_task) > np.abs(own_task))
    shift = np.where(is_larger, any_task, own_task)
    found = np.zeros(len(rows))
    for robot in members(robots):
        in_time = robot[np.argsort(place[robot])]
        found[in_time] = _lasting(shift[in_time])
    return {"calibration_drift": found}


def _earlier_tasks(robots: Groups, tasks: Groups, place: Groups) -> Groups:
    """[N]: in how many tasks the robot of a row was recorded before."""
    found = np.zeros(len(robots), np.int64)
    for same in members(robots):
        in_time = same[np.argsort(place[same])]
        _, first = np.unique(tasks[in_time], return_index=True)
        new = np.zeros(len(in_time), np.int64)
        new[first] = 1
        found[in_time] = np.cumsum(new) - 1
    return found


def _in_time(values: Floats, groups: Groups, place: Groups, least: Floats, past: int) -> Floats:
    """[N, C]: each value against those before it in its group, in units of what counts; NaN where there are too few."""
    found = np.full(values.shape, np.nan)
    for same in members(groups):
        in_time = same[np.argsort(place[same])]
        found[in_time] = _shifts(values[in_time], least, past)
    return found


def _shifts(values: Floats, least: Floats, past: int) -> Floats:
    """[n, C], see `_in_time`. The past grows by an eighth at a time: a robot with a hundred thousand
    episodes costs no more than a few medians.
    """
    found = np.full(values.shape, np.nan)
    begin = past
    while begin < len(values):
        end = min(len(values), begin + max(1, begin // _REFRESH))
        centre = np.median(values[:begin], axis=0)
        wide = NORMAL * np.median(np.abs(values[:begin] - centre), axis=0)
        found[begin:end] = (values[begin:end] - centre) / np.maximum(least, _SPREADS * wide)
        begin = end
    return found


def _lasting(shift: Floats) -> Floats:
    """[n]: the largest shift over the channels that a whole window around an episode shares with it."""
    known = np.flatnonzero(np.isfinite(shift).all(axis=1))
    found = np.zeros(len(shift))
    if len(known) < WINDOW:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(shift[known], WINDOW, axis=0)
    middle = np.median(windows, axis=2)
    held = np.zeros((len(known), shift.shape[1]))
    for offset in range(WINDOW):
        part = held[offset : offset + len(middle)]
        same_way = np.sign(middle) == np.sign(shift[known][offset : offset + len(middle)])
        both = np.minimum(np.abs(middle), np.abs(shift[known][offset : offset + len(middle)]))
        np.maximum(part, np.where(same_way, both, 0.0), out=part)
    found[known] = held.max(axis=1)
    return found
