"""Places where commands and motion do not belong together: channels, and the ticks that say so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.checks.channels import TIME
from components.checks.locate.subject import Place, Subject, whole
from components.checks.measure.coupling import PARTS
from components.checks.measure.leaps import alone_of, leap
from components.checks.own.gains import WINDOW, explained
from components.checks.own.order import wrong_order
from components.checks.own.rows import Floats, Rows
from components.checks.reduce import Reduction
from components.checks.table import as_batch
from components.core.figures import thinned

# Share of what is unexplained, or of a leap, that a channel must have to be named.
_PART = 0.2
# Leaps that are looked at one by one.
_MOST = 32
# Other episodes with which an exchange is tried, of the same task and of others; and what may be left for it to count.
_COMPARED = 400
_MENDED = 0.5


def action_state_disagree(subject: Subject) -> list[Place]:
    """The stretch of the episode whose motion is explained worst, and the channels that have most of that."""
    left, all_ = _by_part(subject)
    if not left.size:
        return []
    here = [left[at : at + WINDOW].sum() / max(all_[at : at + WINDOW].sum(), 1e-30) for at in range(PARTS - WINDOW + 1)]
    worst = int(np.argmax(here))
    cuts = np.linspace(0, len(subject.steps), PARTS + 1).round().astype(int)
    ticks = ((int(cuts[worst]), int(cuts[worst + WINDOW])),)
    alone, every = (values[worst : worst + WINDOW].sum(axis=0) for values in (left, all_))
    moved = [number for pairing in subject.channels.pairings for number in pairing.state]
    return [
        Place(
            "channel",
            subject.channels.all[number].path,
            f"{min(1.0, alone[place] / max(every[place], 1e-30)):.0%} of it and its commands do not explain each other",
            ticks,
        )
        for place, number in enumerate(moved)
        if alone[place] >= _PART * alone.sum() > 0
    ]


def _by_part(subject: Subject) -> tuple[Floats, Floats]:
    """[PARTS, M] each, over all that commands move: what is unexplained, and all that there is."""
    left, every = [np.zeros((PARTS, 0))], [np.zeros((PARTS, 0))]
    for unexplained, both in explained(subject.rows):
        left.append(unexplained[subject.number].reshape(PARTS, -1))
        every.append(both[subject.number].reshape(PARTS, -1))
    return np.concatenate(left, axis=1), np.concatenate(every, axis=1)


def action_jump(subject: Subject) -> list[Place]:
    """Ticks whose commands leap, as they are judged: each with all others mended."""
    part, limit = subject.channels.action, subject.limit("leap")
    alone = np.zeros((len(subject.values), part.stop - part.start))
    alone[1:-1] = np.abs(alone_of(subject.values[:, part], subject.channels))
    size = np.linalg.norm(alone, axis=1)
    ticks = [tick for tick in np.argsort(-size, kind="stable")[:_MOST].tolist() if size[tick] > limit]
    guilty = np.zeros(len(size), bool)
    for tick in ticks:
        values = subject.values.copy()
        for other in ticks:
            if other != tick:
                values[other, part] = 0.5 * (values[other - 1, part] + values[other + 1, part])
        guilty[tick] = leap(values, values[1:] - values[:-1], subject.channels) > limit
    return [
        subject.channel(part.start + number, f"leaves both neighbours by up to {far:.2f} of its range", guilty)
        for number, far in enumerate(alone[guilty].max(axis=0, initial=0.0).tolist())
        if far > _PART * limit
    ]


def wrong_dim_order(subject: Subject) -> list[Place]:
    """The two channels of one role that, exchanged, fit best, where that mends half of what is wrong."""
    near = _near(subject)
    others = subject.rows.table.take(near)
    now = _score(subject, others, subject.rows.table.slice(subject.number, 1))
    then = {pair: _score(subject, others, _exchanged(subject, *pair)) for pair in _pairs(subject)}
    best = min(then, key=lambda pair: then[pair], default=None)
    if best is None or then[best] > _MENDED * now:
        return whole("no two channels fit better when they are exchanged: another fault looks like this one")
    names = [subject.channels.all[number].path for number in best]
    note = f"fits better in the place of {{}}: exchanged, {then[best]:.2f} is left of {now:.2f}"
    return [Place("channel", name, note.format(place)) for name, place in (names, names[::-1])]


def _near(subject: Subject) -> npt.NDArray[np.int64]:
    """Rows of other episodes, evenly over the dataset, those of the same task first."""
    every = np.delete(np.arange(len(subject.rows)), subject.number)
    same = subject.rows.tasks[every] == subject.rows.tasks[subject.number]
    own, rest = every[same], every[~same]
    return np.concatenate([own[thinned(len(own), _COMPARED)], rest[thinned(len(rest), _COMPARED)]])


def _score(subject: Subject, others: pa.Table, row: pa.Table) -> float:
    return float(wrong_order(Rows(pa.concat_tables([others, row]), subject.rows.body))[-1])


def _pairs(subject: Subject) -> Iterator[tuple[int, int]]:
    every = subject.channels.all
    for one, channel in enumerate(every):
        for other in range(one + 1, len(every)):
            if every[other].role == channel.role and not np.array_equal(*subject.values[:, [one, other]].T):
                yield one, other


def _exchanged(subject: Subject, one: int, other: int) -> pa.Table:
    """The measured row of the episode if two of its channels were in each other's place."""
    order = np.arange(len(subject.channels))
    order[[one, other]] = other, one
    values, frames, start = subject.raw[:, order], {TIME: subject.time_s}, 0
    for key, width in subject.channels.blocks:
        frames[key] = values[:, start : start + width]
        start += width
    black_level = subject.params.black_level
    row = Reduction(frames, subject.channels, fps=subject.dataset.fps, black_level=black_level).row()
    changed, table = as_batch([row]), subject.rows.table.slice(subject.number, 1)
    for place, field in enumerate(table.schema):
        if field.name in ("start", "mean", "low", "high", "told_told", "told_moved", "moved_moved"):
            table = table.set_column(place, field, changed[field.name].cast(field.type))
    return table
