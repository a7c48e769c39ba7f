"""The dataset versions that passed, in their order: what the next one is compared with. Lies outside DVC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.checks.profile import read_profile
from components.core.files import append_line, read_lines, write_json
from components.core.journal import now

_LOG = "log.jsonl"
# Digest of a dataset -> profile of the one that its drift is measured against, or None.
BaselineOf = Callable[[str], dict[str, Any] | None]


def baseline_by(folder: Path | None, chosen: Path | None = None) -> BaselineOf:
    """How a dataset finds what it is compared with: the profile at `chosen`, else the version before it in `folder`.

    Raises `RecordError` where `chosen` holds no profile.
    """
    if chosen is not None:
        profile = read_profile(chosen)
        return lambda _: profile
    return lambda digest: baseline(folder, digest) if folder else None


def baseline(folder: Path, dataset_digest: str) -> dict[str, Any] | None:
    """Profile of the version accepted before this one: so that judging a version again gives the same bytes.

    None where there is none. Raises `RecordError` where that profile is damaged or gone.
    """
    before = versions(folder)
    if dataset_digest in before:
        before = before[: before.index(dataset_digest)]
    return read_profile(_file(folder, before[-1])) if before else None


def remember(folder: Path, profile: dict[str, Any]) -> None:
    """Adds a version, at the end where it is new. The profile is stored first: a version that is listed has one."""
    digest = str(profile["dataset"])
    write_json(_file(folder, digest), profile)
    if digest not in versions(folder):
        append_line(folder / _LOG, json.dumps({"at": now(), "dataset": digest}, sort_keys=True))


def versions(folder: Path) -> list[str]:
    """Digests of the accepted datasets, oldest first."""
    return [str(line["dataset"]) for line in read_lines(folder / _LOG)]


def _file(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.json"
