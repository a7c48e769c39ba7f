"""Permutations that need no array of what they permute, and random numbers that stay the same in every version."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_ROUNDS = 4


def random_words(count: int, *key: int) -> npt.NDArray[np.uint64]:
    """uint64 [count], a pure function of `key` (numbers from 0 on); numpy keeps this stream for good."""
    return np.random.SeedSequence(key).generate_state(count, np.uint64).astype(np.uint64, copy=False)


def shuffled(count: int, *key: int) -> npt.NDArray[np.int64]:
    """A permutation of `range(count)` as an array: a pure function of `key`."""
    words = np.random.PCG64(np.random.SeedSequence(key)).random_raw(count)
    return np.argsort(words, kind="stable")


class Feistel:
    """A keyed permutation of `range(count)` in memory that does not grow with `count`.

    A number is split in two, x = left + right * rows, and the halves are shifted in turn by a hash of the other (Black
    and Rogaway, CT-RSA 2002, generalised Feistel). `rows * columns` is `count` or a little more; a number that lands
    beyond `count` is permuted again until it does not ("cycle walking").
    """

    def __init__(self, count: int, *key: int) -> None:
        self._count = count
        self._rows = np.uint64(max(1, math.isqrt(max(count - 1, 0)) + 1))
        self._columns = np.uint64(max(1, -(-count // int(self._rows))))
        self._keys = random_words(2 * _ROUNDS, *key)

    def __call__(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Where the numbers [n], each of `range(count)`, go to."""
        result = np.atleast_1d(np.asarray(values)).astype(np.uint64)
        away = np.arange(len(result))
        while len(away):
            result[away] = self._once(result[away])
            away = away[result[away] >= self._count]
        return result.astype(np.int64)

    def _once(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = values % self._rows, values // self._rows
        for key in self._keys.reshape(_ROUNDS, 2):
            left = (left + _hash(right, key[:1]) % self._rows) % self._rows
            right = (right + _hash(left, key[1:]) % self._columns) % self._columns
        return left + right * self._rows


def _hash(values: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 well mixed bits of each (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = values + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
