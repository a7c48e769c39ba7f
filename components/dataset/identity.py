"""What makes two datasets the same: the settings they were built with and the set of their episodes, in no order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from components.core.files import digest_json


def fingerprint(episode_id: str, pixel_sha256: str, frames_sha256: str) -> str:
    """sha256 of one episode as the dataset holds it."""
    return digest_json([episode_id, pixel_sha256, frames_sha256])


def dataset_digest(fingerprints: Iterable[str], *, embodiment_digest: str, fps: int, video: dict[str, Any]) -> str:
    """sha256 over the sorted fingerprints, and over rate, embodiment and video settings: they decide what is read."""
    head = {"embodiment": embodiment_digest, "fps": fps, "video": video}
    return digest_json({"head": head, "episodes": sorted(fingerprints)})
