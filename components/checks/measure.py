"""What can be measured on the arrays of one episode. Pure numpy; every result is a finite number.

A NaN among the inputs is counted by `bad_numbers` and left out everywhere else, so that one fault hides no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Images = npt.NDArray[np.uint8]

# A tick in which the hand moves less than this may leave a picture as it is.
MOVING_M = 0.002
# Blocks of this side: their means hardly feel the noise of sensor and codec, and feel anything that moves.
_BLOCK_PX = 8
# Largest change (0..255) of a block's mean up to which two decoded pictures show the same. A codec that refines a still
# picture changes one by up to 0.7, a hand that moves by 14 and more.
SAME_PICTURE = 1.0


def bad_numbers(*arrays: npt.NDArray[Any]) -> int:
    """How many values are NaN or infinite."""
    return sum(int(np.count_nonzero(~np.isfinite(array))) for array in arrays if array.dtype.kind == "f")


def steps(values: Floats) -> npt.NDArray[np.float64]:
    """float64 [T - 1]: Euclidean distance from each row of [T, D] to the next; 0 where either is not finite."""
    rows = values.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(np.diff(rows, axis=0), axis=1)
    return np.where(np.isfinite(lengths), lengths, 0.0)


def reach(values: Floats) -> float:
    """Largest distance of a row from the first one; rows that are not finite are left out."""
    rows = finite_rows(values)
    return float(np.linalg.norm(rows - rows[0], axis=1).max()) if len(rows) else 0.0


def share_outside(values: Floats, low: Sequence[float], high: Sequence[float]) -> float:
    """Share of the rows with a component outside [low, high]; float32 rounding is forgiven, infinity is not."""
    if not len(values):
        return 0.0
    slack = 1e-5 * np.maximum(np.abs(low), np.abs(high))
    outside = (values < np.asarray(low) - slack) | (values > np.asarray(high) + slack)
    return float(outside.any(axis=1).mean())


def constant_columns(values: Floats) -> int:
    """How many columns of [T, D] hold one value throughout; 0 where fewer than two rows are finite."""
    rows = finite_rows(values)
    return int((np.ptp(rows, axis=0) == 0).sum()) if len(rows) > 1 else 0


def finite_rows(values: Floats) -> npt.NDArray[np.float64]:
    rows = values.astype(np.float64)
    return rows[np.isfinite(rows).all(axis=1)]


def brightness(images: Images) -> npt.NDArray[np.float64]:
    """float64 [T]: mean over pixels and channels of [T, H, W, 3], 0..255."""
    return images.reshape(len(images), -1).mean(axis=1) if len(images) else np.zeros(0)


def differences(images: Images) -> npt.NDArray[np.float64]:
    """float64 [T - 1]: how far the mean of that block changes which changes most, from each picture of [T, H, W, 3] on.

    What is left over at the right and at the bottom of pictures that are no multiple of the block is not looked at.
    """
    count, height, width, channels = images.shape
    rows, columns = height // _BLOCK_PX, width // _BLOCK_PX
    if count < 2 or not rows or not columns:
        return np.zeros(max(0, count - 1))
    whole = images[:, : rows * _BLOCK_PX, : columns * _BLOCK_PX]
    # Sums of one axis after the other: numpy is several times slower at both at once.
    tall = whole.reshape(count, rows, _BLOCK_PX, -1).sum(axis=2, dtype=np.uint16)
    sums = tall.reshape(count, rows, columns, _BLOCK_PX * channels).sum(axis=3, dtype=np.int32)
    steps: npt.NDArray[np.float64] = np.abs(np.diff(sums, axis=0)).max(axis=(1, 2)) / (_BLOCK_PX**2 * channels)
    return steps


def frozen_share(changes: Floats, moved_m: Floats, lit: npt.NDArray[np.bool_]) -> float:
    """Share of the ticks with a moving hand in which the picture stays; 0 where the hand never moves.

    `changes`, `moved_m`: [T - 1], difference of the pictures and path of the hand from each tick to the next; `lit`:
    [T], False where a picture is black. Two black pictures in a row are the fault of the light.
    """
    moving = moved_m >= MOVING_M
    frozen = (changes <= SAME_PICTURE) & (lit[:-1] | lit[1:])
    return float(frozen[moving].mean()) if moving.any() else 0.0


def motion_sha256(*arrays: npt.NDArray[Any]) -> str:
    """One hash for what was commanded and measured, whatever the pictures went through."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()
