"""Which verdicts a command goes by: those named, or those that `gripline check` left where it puts them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.dataset.parts import Part

log = logging.getLogger(__name__)

Verdicts = Annotated[
    Path | None,
    typer.Option("--verdicts", help="verdicts.parquet of `gripline check`; where absent, that of the dataset's check."),
]
_FILE = "verdicts.parquet"


@dataclass(frozen=True)
class Judged:
    """`path`: the verdicts, or None; `reason`: why there are none, for who asks for them."""

    path: Path | None
    reason: str = ""


def judged(dataset: Path, parts: Sequence[Part], given: Path | None) -> Judged:
    """`given`, or the first verdicts in the folders of `gripline check` that are about the dataset as it is now.

    `parts`: of `dataset`. Those about an earlier state are left out, which is logged.
    """
    from components.dataset.manifest import is_manifest

    if given is not None:
        return Judged(given)
    if is_manifest(dataset):
        return Judged(None, "verdict is not known here: checks are of single datasets")
    digest = parts[0].dataset.digest
    stale = []
    for folder in _folders(dataset):
        if (folder / _FILE).is_file():
            if not (found := _stale(folder, digest)):
                return Judged(folder / _FILE)
            stale.append(found)
    for found in stale:
        log.warning("left out: %s; run `gripline check` again", found)
    return Judged(None, f"verdict is not known here: {'; '.join(stale) or 'run `gripline check` first'}")


def _folders(dataset: Path) -> list[Path]:
    """That of the workspace for its own dataset, and that beside the dataset."""
    from components.core.errors import UsageError
    from components.core.workspace import beside, find_workspace

    own = beside(dataset.absolute(), "checks")
    try:
        workspace = find_workspace()
    except UsageError:
        return [own]
    return [workspace.checks, own] if dataset.resolve() == workspace.dataset.resolve() else [own]


def _stale(folder: Path, digest: str) -> str:
    """Why the verdicts there do not count; "" where they do."""
    from components.core.errors import RecordError
    from components.core.records import read_record

    try:
        checked = read_record(folder, kind="checks").inputs.get("dataset", "")
    except RecordError as error:
        return f"the verdicts in {folder} do not say of which dataset they are ({error.message})"
    if checked == digest:
        return ""
    return f"the verdicts in {folder} are of digest {checked[:12]}, the dataset has changed since and is {digest[:12]}"
