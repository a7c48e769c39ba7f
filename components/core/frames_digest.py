"""The checksum of an episode as a dataset holds it, by which a reader of that dataset knows that nothing changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.files import canonical_json


def frames_sha256(columns: Mapping[str, npt.NDArray[Any]], words: Sequence[str]) -> str:
    """sha256 over words and every numeric column, by name, dtype and shape; values count as little-endian.

    `columns`: feature key ("observation.state") -> array of any shape; pixels have a checksum of their own.
    """
    digest = hashlib.sha256(canonical_json(list(words)).encode())
    for name in sorted(columns):
        values = np.ascontiguousarray(columns[name])
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"\0{name}\0{values.dtype.str}\0{values.shape}\0".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
