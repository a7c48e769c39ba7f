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
# Mean absolute difference (0..255) up to which two decoded pictures show the same: what a video codec adds to a
# picture that does not change is below a tenth of it.
SAME_PICTURE = 0.1


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
    """float64 [T - 1]: mean absolute difference of each picture of [T, H, W, 3] to the next."""
    found = np.zeros(max(0, len(images) - 1))
    for tick in range(len(found)):
        one, other = images[tick], images[tick + 1]
        # Unsigned: the larger minus the smaller needs no wider type.
        found[tick] = (np.maximum(one, other) - np.minimum(one, other)).mean()
    return found


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
