"""select, view, dataset card: what a dataset holds, as a person asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import dataset as of_dataset
from flows.commands.options import Json

Source = Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset, or a manifest of several.")]
Verdicts = Annotated[
    Path | None,
    typer.Option("--verdicts", help="verdicts.parquet of `gripline check`; the workspace's for its own dataset."),
]
_WHERE = "SQL condition, for example \"embodiment = 'panda' and task like '%drawer%' and verdict = 'accepted'\"."
# Values of one count that are printed; --json has more.
_SHOWN = 8
_ID = 12


def add_to(app: typer.Typer) -> None:
    app.command("select")(select)
    app.command("view")(view)
    of_dataset.app.command("card")(card)


def select(
    dataset: Source,
    where: Annotated[str, typer.Option("--where", help=_WHERE)],
    verdicts: Verdicts = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Columns of the episodes shown, with commas between.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Episodes to show.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a manifest of what was selected; it must not exist yet.")
    ] = None,
    json: Json = False,
) -> None:
    """Pick episodes by what the dataset says about them, count them, and keep the choice as a manifest."""
    from components.dataset.edits.subset import write_subset
    from components.dataset.parts import parts_of
    from components.dataset.select import select as select_parts
    from components.view.selection import SHOWN, selection
    from flows.output import emit, results_only

    with results_only() as stdout:
        judged = _verdicts(dataset, verdicts)
        parts = parts_of(dataset)
        chosen = select_parts(parts, where, judged)
        names = SHOWN if columns is None else tuple(name.strip() for name in columns.split(","))
        found = selection(chosen, columns=names, limit=limit, verdicts=judged)
        found |= {"dataset": str(dataset), "where": where, "of": sum(len(part) for part in parts)}
        if out is not None:
            made = write_subset(chosen, out, params={"where": where})
            found["manifest"] = {"path": str(out), "digest": made.digest}
        emit(stdout, found, as_json=json, text=_selected(found))


def card(
    dataset: Source,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for card.md and card.html.")] = None,
    where: Annotated[str | None, typer.Option("--where", help="Only these episodes: a condition as of select.")] = None,
    verdicts: Verdicts = None,
    json: Json = False,
) -> None:
    """Write what a dataset holds and what it lacks: counts, rights, coverage, duplicates, charts and pictures."""
    from components.dataset.parts import parts_of
    from components.dataset.select import select as select_parts
    from components.view.card import write_card
    from flows.output import emit, results_only

    with results_only() as stdout:
        judged = _verdicts(dataset, verdicts)
        parts = parts_of(dataset)
        if where is not None:
            parts = select_parts(parts, where, judged)
        folder = out or dataset.absolute().with_name(f"{dataset.absolute().name}-card")
        made = write_card(parts, folder, name=dataset.absolute().name, verdicts=judged, where=where or "")
        value = {"markdown": str(made.markdown), "html": str(made.html), "facts": made.facts}
        emit(stdout, value, as_json=json, text=f"{made.markdown}\n{made.html}")


def view(
    dataset: Source,
    episode: Annotated[str, typer.Argument(help="Its number, its id, or how the id begins.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for episode.rrd and episode.html; beside the dataset else.")
    ] = None,
    verdicts: Verdicts = None,
    json: Json = False,
) -> None:
    """Show one episode: a page for any browser, and a recording for the Rerun viewer."""
    from components.dataset.parts import parts_of
    from components.view.find import find_episode
    from components.view.view import view as write_view
    from flows.output import emit, results_only

    with results_only() as stdout:
        judged = _verdicts(dataset, verdicts)
        chosen = find_episode(parts_of(dataset), episode, where=str(dataset), verdicts=judged)
        folder = out or dataset.absolute().with_name(f"{dataset.absolute().name}-views") / chosen.episode_id[:_ID]
        made = write_view(chosen, folder)
        value = {
            "episode_id": chosen.episode_id,
            "episode_index": chosen.index,
            "frames": made.frames,
            "verdict": chosen.verdict,
            "html": str(made.html),
            "recording": str(made.recording),
        }
        emit(stdout, value, as_json=json, text=f"{made.html}\n{made.recording} (open it with `rerun`)")


def _verdicts(dataset: Path, given: Path | None) -> Path | None:
    """Those named, or those of the workspace where the dataset is its own and has been checked."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace

    if given is not None:
        return given
    try:
        workspace = find_workspace()
    except UsageError:
        return None
    own = workspace.checks / "verdicts.parquet"
    return own if dataset.resolve() == workspace.dataset.resolve() and own.is_file() else None


def _selected(found: dict[str, Any]) -> str:
    from flows.output import table

    total = found["total"]
    lines = [f"{total['episodes']} of {found['of']} episodes, {total['frames']} frames, {total['hours']:.2f} hours"]
    for name, counts in found["counts"].items():
        named = [f"{row['value'] or 'not said'} {row['episodes']}" for row in counts["rows"][:_SHOWN]]
        more = counts["values"] - len(named)
        lines.append(f"  {name}: {', '.join(named)}" + (f" and {more} more" if more > 0 else ""))
    if found["rows"]:
        names = list(found["rows"][0])
        rows = [[_short(name, row[name]) for name in names] for row in found["rows"]]
        lines.append(table(names, rows))
    if "manifest" in found:
        lines.append(f"manifest {found['manifest']['path']} ({found['manifest']['digest'][:_ID]})")
    return "\n".join(lines)


def _short(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str("" if value is None else value)[: _ID if name == "episode_id" or name.endswith("sha256") else None]
