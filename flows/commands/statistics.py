"""`gripline dataset stats`: what the numbers of a dataset are like, and whether a base checkpoint fits them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.edit import At
from flows.commands.judged import Verdicts, judged
from flows.commands.options import Json

if TYPE_CHECKING:
    from components.dataset.statistics.cache import StatisticsCache
    from components.dataset.statistics.report import EmbodimentStatistics


class Representation(StrEnum):
    ABSOLUTE = "absolute"
    STEP_DELTA = "step_delta"
    CHUNK_RELATIVE = "chunk_relative"


def add_to(app: typer.Typer) -> None:
    app.command("stats")(stats)


def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset, or a manifest of several.")],
    where: Annotated[str | None, typer.Option("--where", help="SQL condition on the table of episodes.")] = None,
    verdicts: Verdicts = None,
    representation: Annotated[
        Representation | None,
        typer.Option("--representation", help="How a policy is taught the actions; as recorded where none is given."),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option("--horizon", min=1, help="Actions of a chunk, for chunk_relative.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--base", help="Statistics or folder of a checkpoint to compare with: openpi, LeRobot or a bundle."
        ),
    ] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Give mean, std and quantiles of every feature, for each embodiment; with --base, say whether they fit it."""
    from components.core.errors import UsageError
    from components.dataset.manifest import places
    from components.dataset.parts import parts_of
    from components.dataset.select import select
    from components.dataset.statistics.base import read_base
    from components.dataset.statistics.report import report
    from flows.output import emit, results_only

    with results_only() as stdout:
        if representation is Representation.CHUNK_RELATIVE and horizon is None:
            raise UsageError("chunk_relative without a horizon", hint="Say how long a chunk is with --horizon")
        if representation is not Representation.CHUNK_RELATIVE and horizon is not None:
            raise UsageError(
                f"--horizon {horizon} without chunks", hint="Add --representation chunk_relative, or leave it out"
            )
        parts = parts_of(dataset, places(at or ()))
        if where is not None:
            known = judged(dataset, parts, verdicts)
            parts = select(parts, where, known.path, unjudged=known.reason)
        found = report(
            parts,
            representation=None if representation is None else representation.value,
            horizon=horizon or 1,
            base=None if base is None else read_base(base),
            cache=_cache(),
        )
        value = {"dataset": str(dataset), "embodiments": [one.as_dict() for one in found]}
        emit(stdout, value, as_json=json, text="\n".join(_text(one) for one in found))


def _text(found: EmbodimentStatistics) -> str:
    from components.dataset.statistics import words
    from flows.output import table

    text = table(*found.rows(), title=f"{found.embodiment.name}: {sum(len(part) for part in found.parts)} episodes")
    if found.actions is not None:
        title = f"{found.embodiment.name}: {words.action_title(found.actions)}"
        text += f"\n{title}\n{table(*found.action_rows())}{words.action_remark(found.actions)}"
    if found.comparison is not None:
        if found.comparison.features:
            text += f"\n{table(*words.comparison_rows(found.comparison))}"
        text += f"{words.lacking(found.comparison)}{words.verdict_sentence(found.comparison)}\n"
    return text


def _cache() -> StatisticsCache | None:
    """That of the workspace around the current folder; none outside of one."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace
    from components.dataset.statistics.cache import StatisticsCache
    from components.dataset.statistics.report import CACHE

    try:
        return StatisticsCache(find_workspace().state / CACHE)
    except UsageError:
        return None
