"""Count, mean and standard deviation that add up without rounding: sums are whole numbers of the smallest float64."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The smallest float64 is 2 ** -_BITS.
_BITS = 1074


class Moments:
    """Of D dimensions over parts of rows that came in any order; taking a part away undoes adding it, bit for bit."""

    def __init__(self, size: int) -> None:
        self.count = 0
        # Of count * mean, in units of 2 ** -_BITS, and of count * (std ** 2 + mean ** 2), in units of their square.
        self._sums = [0] * size
        self._squares = [0] * size

    def add(self, count: int, mean: Floats, std: Floats) -> None:
        """Takes in `count` rows of this `mean` and `std`, both [D]."""
        self.count += count
        for index, (one, other) in enumerate(zip(mean.tolist(), std.tolist(), strict=True)):
            exact = _exact(one)
            self._sums[index] += count * exact
            self._squares[index] += count * (_exact(other) ** 2 + exact**2)

    def combine(self, other: Moments, sign: int = 1) -> None:
        """Takes in all that `other` has, or takes it away where `sign` is -1."""
        self.count += sign * other.count
        self._sums = [one + sign * more for one, more in zip(self._sums, other._sums, strict=True)]
        self._squares = [one + sign * more for one, more in zip(self._squares, other._squares, strict=True)]

    def result(self) -> tuple[Floats, Floats]:
        """Mean and std of all rows, [D] each; zeros where there is none."""
        means = [Fraction(total, max(self.count, 1) << _BITS) for total in self._sums]
        squares = [Fraction(total, max(self.count, 1) << 2 * _BITS) for total in self._squares]
        variances = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
        return np.array([float(mean) for mean in means]), np.array([math.sqrt(max(v, Fraction(0))) for v in variances])

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON, not rounded."""
        written = {"sums": [_written(v) for v in self._sums], "squares": [_written(v) for v in self._squares]}
        return {"count": self.count, **written}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Moments:
        """Inverse of `as_dict`."""
        moments = cls(len(value["sums"]))
        moments.count = value["count"]
        moments._sums = [_read(text) for text in value["sums"]]
        moments._squares = [_read(text) for text in value["squares"]]
        return moments


def _exact(value: float) -> int:
    """`value` in units of 2 ** -_BITS, of which every float64 is a whole number."""
    above, below = value.as_integer_ratio()
    return above << (_BITS + 1 - below.bit_length())


def _written(value: int) -> str:
    """Hexadecimal, and how many zero bits follow: Python refuses to turn very long numbers into decimal digits."""
    zeros = max((value & -value).bit_length() - 1, 0)
    return f"{value >> zeros:x}p{zeros}"


def _read(text: str) -> int:
    digits, zeros = text.split("p")
    return int(digits, 16) << int(zeros)
