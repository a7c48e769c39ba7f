"""Buckets of numbers: 70 an octave, so that the middle of a bucket is within 0.5 % of every number in it.

The mapping of DDSketch (Masson, Rim, Lee, VLDB 2019), by the bits of the number and a table of edges: the same number
falls into the same bucket on every machine, which a logarithm does not promise.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import numpy.typing as npt

# |q - found| <= ACCURACY * |q|; the bucket widths give 0.00496, the rest is for rounding.
ACCURACY = 0.005
# What is smaller counts as 0.
SMALLEST = 1e-9

_PER_OCTAVE = 70
_MANTISSA_BITS = 52
# Leading bits of a mantissa that are looked up; two edges are never so close.
_LOOKUP_BITS = 12
# Exponent bits of a float64 in the octave of SMALLEST.
_FIRST_OCTAVE = 1023 - 30
Keys = npt.NDArray[np.int64]


def _edges() -> npt.NDArray[np.float64]:
    """Upper edges of the buckets of the octave 1..2, correctly rounded on every machine."""
    with localcontext() as context:
        context.prec = 40
        return np.array([float(Decimal(2) ** (Decimal(number) / _PER_OCTAVE)) for number in range(_PER_OCTAVE + 1)])


_EDGES = _edges()
_MANTISSA = (1 << _MANTISSA_BITS) - 1
# Mantissas at which the next bucket begins.
_STARTS = np.append(_EDGES[1:-1].view(np.int64) & _MANTISSA, np.int64(1) << _MANTISSA_BITS)
_LOOKUP = np.searchsorted(
    _STARTS, np.arange(1 << _LOOKUP_BITS) << (_MANTISSA_BITS - _LOOKUP_BITS), side="right"
).astype(np.uint8)
# What stands for a bucket: as far from either edge, relatively.
_MIDDLES = 2 * _EDGES[1:] * _EDGES[:-1] / (_EDGES[1:] + _EDGES[:-1])


def keys_of(values: npt.NDArray[np.float64]) -> Keys:
    """Bucket of each value, of the same shape: ascending as the values are, 0 for zero; the values must be finite."""
    size = np.ascontiguousarray(np.abs(values))
    zero, bits = size < SMALLEST, size.view(np.int64)
    keys = bits >> _MANTISSA_BITS
    keys -= _FIRST_OCTAVE
    keys *= _PER_OCTAVE
    bits &= _MANTISSA
    bucket = _LOOKUP[bits >> (_MANTISSA_BITS - _LOOKUP_BITS)]
    keys += bucket
    keys += bits >= _STARTS[bucket]
    keys += 1
    keys[zero] = 0
    return np.negative(keys, out=keys, where=values < 0)


def values_of(keys: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """The number that stands for each bucket."""
    octave, bucket = np.divmod(np.abs(keys.astype(np.int64)) - 1, _PER_OCTAVE)
    size = np.ldexp(_MIDDLES[bucket], octave + _FIRST_OCTAVE - 1023)
    return np.where(keys == 0, 0.0, np.where(keys < 0, -size, size))
