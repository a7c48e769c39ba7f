"""What decides how a recording becomes an episode. A dataset is continued under the settings it was written with."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from components.core.files import sha256_file
from components.core.params import Ingest
from components.core.spec import Embodiment

_PACKAGES = ("core", "formats", "transforms", "dataset", "ingest")
_SUFFIXES = (".py", ".yaml")
# Not in the record of a finished dataset where something else remembers it, see `stamps`.
CODE = "code"
# Which episodes are held out is decided anew at each commit, from all of them; no recording is read for it.
_SPLIT_KEYS = frozenset({"val_share", "split_seed", "split_by"})


def dataset_fps(params: Ingest, body: Embodiment) -> int:
    """Ticks a second: those of the parameters, else the embodiment's own."""
    return params.fps or round(body.action.rate_hz)


def build_settings(params: Ingest, body: Embodiment) -> dict[str, Any]:
    """Plain JSON; goes into the record of the dataset. Two runs with equal settings may share episodes.

    What is said about single sources, mappings and cuts, is part of their keys (`sources`).
    """
    kept = params.model_dump(mode="json", exclude=set(_SPLIT_KEYS) | {"embodiment", "fps"})
    return {
        **kept,
        "embodiment": body.name,
        "embodiment_digest": body.digest,
        "fps": dataset_fps(params, body),
        CODE: code_digest(),
    }


@cache
def code_digest() -> str:
    """sha256 over the names and bytes of the source files that turn a recording into an episode."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted(file for file in (root / package).rglob("*") if file.suffix in _SUFFIXES):
            digest.update(f"{path.relative_to(root).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
