"""Calibrations beside the dataset: one file for each, named by its digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.files import read_json, write_json
from components.dataset.commit import STAGED, resolve
from components.dataset.layout import CALIBRATION_PATH
from components.dataset.prepared import PreparedEpisode


class Calibrations:
    """Those of the episodes added since the last commit."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, Any]] = {}

    def add(self, episode: PreparedEpisode) -> None:
        if episode.calibration:
            digest, at = episode.row["calibration_digest"], episode.row["recorded_at"]
            known = self._seen.setdefault(digest, _entry(digest, at, episode.calibration))
            known["first_recorded_at"] = _earlier(known["first_recorded_at"], at)

    def stage(self, root: Path) -> None:
        """Writes those that are new, or were in use earlier than the tree says."""
        for digest, entry in self._seen.items():
            name = CALIBRATION_PATH.format(digest=digest)
            path = resolve(root, name)
            if path.exists():
                kept = read_json(path)
                entry["first_recorded_at"] = _earlier(kept["first_recorded_at"], entry["first_recorded_at"])
                if entry == kept:
                    continue
            write_json(root / STAGED / name, entry)
        self._seen = {}


def read_calibration(root: Path, digest: str) -> dict[str, Any] | None:
    """The calibration with this digest, if the dataset has it: a recording may name one that it does not hold."""
    path = resolve(root, CALIBRATION_PATH.format(digest=digest))
    if not digest.isalnum() or not path.is_file():
        return None
    calibration: dict[str, Any] = read_json(path)["calibration"]
    return calibration


def _entry(digest: str, recorded_at: str, calibration: dict[str, Any]) -> dict[str, Any]:
    return {"digest": digest, "first_recorded_at": recorded_at, "calibration": calibration}


def _earlier(left: str, right: str) -> str:
    """Of two times in ISO 8601; empty is unknown."""
    return min(filter(None, (left, right)), default="")
