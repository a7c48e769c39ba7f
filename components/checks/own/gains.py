"""What motion follows a command, learned from the dataset itself, and how much of an episode's motion it explains.

Gains are fitted task by task to the sums that each row carries, twice: the second time without the rows that the first
fit explains worst (least trimmed squares, Rousseeuw 1984).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.checks.measure.coupling import split_parts
from components.checks.own.rows import Floats, Groups, Rows, members

# Share of the rows that gains are fitted to in the second round.
_KEPT = 0.75
_RIDGE = 1e-3
# A quantile over the episodes: how much is usual of a command that many do without.
_BUSY = 0.75
# Tasks with fewer episodes share the gains of all.
_OWN_GAINS = 20
# Parts of an episode in a row that are judged together, and how much of what is unexplained elsewhere is forgiven.
WINDOW = 3
_FORGIVEN = 0.5
# Least energy of such a window, as a share of what its length would have: a robot that waits says nothing.
_CALM = 1.0


@dataclass(frozen=True, eq=False)
class Sums:
    """Of N rows and D blocks of k commands and m channels, any dimensions S in between (parts of an episode).

    `told` [N, *S, D, k, k], `both` [N, *S, D, k, m], `moved` [N, *S, D, m].
    """

    told: Floats
    both: Floats
    moved: Floats

    def left(self, gains: Floats) -> tuple[Floats, Floats]:
        """[N, *S, D, m] each: motion that `gains` [N, D, k, m] leave unexplained, and what they make of commands."""
        inner = self.moved.ndim - gains.ndim + 1
        gains = gains.reshape(len(gains), *(1,) * inner, *gains.shape[1:])
        made = (gains * (self.told @ gains)).sum(axis=-2)
        return np.maximum(0.0, self.moved + made - 2 * (gains * self.both).sum(axis=-2)), np.maximum(0.0, made)


def fit(sums: Sums, groups: Groups, weight: Floats) -> Floats:
    """Gains [N, D, k, m] of each row's group; `sums` of whole episodes; `weight` [D, m] of the channels."""
    gains = np.empty_like(sums.both)
    for own in members(groups):
        sample = np.arange(len(gains)) if groups[own[0]] < 0 else own
        gains[own] = _trimmed(Sums(sums.told[sample], sums.both[sample], sums.moved[sample]), weight)
    return gains


def gain_groups(rows: Rows) -> Groups:
    """Tasks, and -1 for those that are too small for gains of their own."""
    codes = rows.groups("task")
    return np.where(np.bincount(codes)[codes] < _OWN_GAINS, -1, codes)


def unexplained(rows: Rows) -> tuple[Floats, Floats]:
    """[N] each: share of the motion that is unexplained in the worst half of an episode; that less half of the rest's.

    0 where no command is known to move anything. The share is of motion and commands together, so that commands
    without motion count as much as motion without commands.
    """
    apart = list(explained(rows))
    if not apart:
        return np.zeros(len(rows)), np.zeros(len(rows))
    left, whole = (np.sum([values.sum(axis=(2, 3)) for values in side], axis=0) for side in zip(*apart, strict=True))
    return _worst_stretch(left, whole)


def explained(rows: Rows) -> Iterator[tuple[Floats, Floats]]:
    """Of each pairing, by part of the episode: motion that is unexplained, and motion and commands, [N, PARTS, D, m].

    Both are weighted so that channels count alike.
    """
    groups, ticks = gain_groups(rows), np.maximum(1.0, rows.number("length") - 1)
    for parts in split_parts(rows.vector("parts"), rows.channels):
        sums = Sums(*parts)
        total = Sums(sums.told.sum(axis=1), sums.both.sum(axis=1), sums.moved.sum(axis=1))
        weight = per_tick_weight(total.moved, ticks)
        left, made = sums.left(fit(total, groups, weight))
        yield left * weight, (sums.moved + made) * weight


def per_tick_weight(moved: Floats, ticks: Floats) -> Floats:
    """One over what is usual of `moved` [N, ...] in a tick; 0 for what usually stands still."""
    middle = np.median(moved / ticks.reshape(-1, *(1,) * (moved.ndim - 1)), axis=0)
    return np.where(middle > 0, 1.0 / np.maximum(middle, 1e-30), 0.0)


def _worst_stretch(left: Floats, whole: Floats) -> tuple[Floats, Floats]:
    """`left`, `whole` [N, parts]."""
    parts = left.shape[1]
    all_left, all_whole = left.sum(axis=1, keepdims=True), whole.sum(axis=1, keepdims=True)
    least = _CALM * all_whole * WINDOW / parts
    here_left, here_whole = (_windows(values) for values in (left, whole))
    share = _ratio(here_left, here_whole + least)
    elsewhere = _ratio(all_left - here_left, all_whole - here_whole + least)
    worst = np.argmax(share, axis=1)[:, None]
    here, there = (np.take_along_axis(values, worst, 1)[:, 0] for values in (share, elsewhere))
    return here, np.maximum(0.0, here - _FORGIVEN * there)


def _windows(values: Floats) -> Floats:
    return np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=1).sum(axis=-1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _trimmed(sums: Sums, weight: Floats) -> Floats:
    """[D, k, m]. What moves or commands more than usual, as an episode in another unit does, counts as a usual one."""
    energy = (sums.moved * weight).sum(axis=(1, 2))
    force = np.einsum("ndkk->ndk", sums.told).reshape(len(energy), -1)
    calm = np.minimum(_calm(energy[:, None], 0.5), _calm(force, _BUSY)).reshape(-1, 1, 1, 1)
    sums = Sums(sums.told * calm, sums.both * calm, sums.moved * calm[..., 0])
    first = _solve(sums)
    left, _ = sums.left(np.broadcast_to(first, (len(energy), *first.shape)))
    error = _ratio((left * weight).sum(axis=(1, 2)), (sums.moved * weight).sum(axis=(1, 2)))
    best: npt.NDArray[np.int64] = np.argsort(error, kind="stable")[: max(1, int(_KEPT * len(error)))]
    return _solve(Sums(sums.told[best], sums.both[best], sums.moved[best]))


def _calm(energy: Floats, quantile: float) -> Floats:
    """[N]: what brings the largest of the energies [N, K] of a row down to the usual one; 1 where none is larger."""
    most = np.quantile(energy, quantile, axis=0)
    times = np.divide(energy, most, out=np.zeros_like(energy), where=most > 0)
    return 1.0 / np.maximum(1.0, times.max(axis=1, initial=0.0))


def _solve(sums: Sums) -> Floats:
    told = sums.told.sum(axis=0)
    size = told.shape[-1]
    ridge = np.maximum(_RIDGE * np.trace(told, axis1=-2, axis2=-1) / size, 1e-12)
    found: Floats = np.linalg.solve(told + ridge[:, None, None] * np.eye(size), sums.both.sum(axis=0))
    return found
