"""A few numbers by which copies of an episode are found among a million, also trimmed or encoded again.

Bottom-k sketch of shingles (Broder, Compression and Complexity of Sequences, 1997): two episodes that share a stretch
of commands share the smallest of its hashes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Hashes kept of an episode, and ticks that go into one.
SIZE = 32
SHINGLE = 4
# Commands are compared in steps of this share of their range.
_STEP = 1e-3
# Steps beyond which commands are all alike: whole numbers end somewhere.
_MOST = 2.0**53
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def fingerprint(
    action: npt.NDArray[np.float64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> list[int]:
    """The `SIZE` smallest hashes of all runs of `SHINGLE` commands in `action` [T, A], or as many as there are.

    Runs that say nothing are left out: those in which nothing changes, or all commands are at their limits.
    """
    span = np.where(np.isfinite(high - low) & (high > low), high - low, 1.0)
    levels = np.clip(np.rint(action / (span * _STEP)), -_MOST, _MOST).astype(np.int64)
    runs = len(levels) - SHINGLE + 1
    if runs < 1:
        return []
    hashed = _mixed(levels.astype(np.uint64))
    total = np.zeros(runs, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(SHINGLE):
            total = _mix(total * _PRIME + hashed[place : place + runs])
    free = np.any((action > low + span * _STEP) & (action < high - span * _STEP), axis=1)
    changes = np.any(levels[1:] != levels[:-1], axis=1)
    informative = (_count(free, SHINGLE, runs) == SHINGLE) & (_count(changes, SHINGLE - 1, runs) > 0)
    return np.unique(total[informative])[:SIZE].astype(np.int64).tolist()


def _mixed(levels: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One hash a row of [T, A]."""
    total = np.zeros(len(levels), np.uint64)
    with np.errstate(over="ignore"):
        for column in levels.T:
            total = _mix(total * _PRIME + column)
    return total


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _count(flags: npt.NDArray[np.bool_], width: int, runs: int) -> npt.NDArray[np.int64]:
    """[runs]: how many are True of the `width` flags from each place on."""
    seen = np.concatenate([[0], np.cumsum(flags)])
    return seen[width : width + runs] - seen[:runs]
