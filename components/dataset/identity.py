"""What makes two datasets the same: the settings they were built with and the set of their episodes, in no order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from components.core.files import canonical_json, sha256_bytes

# Columns of episodes.parquet that a fingerprint is made of.
IDENTITY_COLUMNS = ("episode_id", "pixel_sha256", "frames_sha256", "split")


def fingerprint(episode_id: str, pixel_sha256: str, frames_sha256: str, split: str) -> str:
    """One line that says which episode the dataset holds, and on which side of the split."""
    return f"{episode_id} {pixel_sha256} {frames_sha256} {split}"


def fingerprints(episodes: pa.Table) -> list[str]:
    """Of all rows of a table that has the `IDENTITY_COLUMNS`."""
    columns = (episodes[name].to_pylist() for name in IDENTITY_COLUMNS)
    return [fingerprint(*row) for row in zip(*columns, strict=True)]


def dataset_digest(fingerprints: Iterable[str], *, embodiment_digest: str, fps: int, video: dict[str, Any]) -> str:
    """sha256 over the sorted fingerprints, and over rate, embodiment and video settings: they decide what is read."""
    head = canonical_json({"embodiment": embodiment_digest, "fps": fps, "video": video})
    return sha256_bytes("\n".join([head, *sorted(fingerprints)]).encode())
