"""select, view, dataset card: what a dataset holds, as a person asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import dataset as of_dataset
from flows.commands.edit import At
from flows.commands.judged import Verdicts, judged
from flows.commands.options import Json

if TYPE_CHECKING:
    from components.dataset.parts import Part
    from components.dataset.select import NothingSelected

Source = Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset, or a manifest of several.")]
_WHERE = "SQL condition, for example \"embodiment = 'panda' and task like '%drawer%' and verdict = 'accepted'\"."
# Values of one count that are printed; --json has more.
_SHOWN = 8
# Episodes that are printed, unless --limit says how many.
_EPISODES = 10
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
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help=f"Episodes to show; {_EPISODES}, and all of them with --json.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a manifest of what was selected; it must not exist yet.")
    ] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Pick episodes by what the dataset says about them, count them, and keep the choice as a manifest."""
    from components.dataset.edits.subset import write_subset
    from components.dataset.outside import require_place
    from components.dataset.select import NothingSelected
    from components.dataset.select import select as select_parts
    from components.view.selection import SHOWN, no_selection, require_columns, selection
    from flows.output import emit, results_only

    with results_only() as stdout:
        names = SHOWN if columns is None else tuple(name.strip() for name in columns.split(","))
        require_columns(names)
        if out is not None:
            require_place(out)
        parts = _parts(dataset, at)
        known = judged(dataset, parts, verdicts)
        about = {"dataset": str(dataset), "where": where, "of": sum(len(part) for part in parts)}
        try:
            chosen = select_parts(parts, where, known.path, unjudged=known.reason)
        except NothingSelected as nothing:
            # None is an answer; but there is no manifest of nothing.
            if out is not None:
                raise
            found = no_selection() | about | {"alone": dict(nothing.alone)}
            emit(stdout, found, as_json=json, text=_nothing(found, nothing))
            return
        shown = _EPISODES if limit is None and not json else limit
        found = selection(chosen, columns=names, limit=shown, verdicts=known.path) | about
        if out is not None:
            made = write_subset(chosen, out, params={"where": where})
            found["manifest"] = {"path": str(out), "digest": made.digest, "moved_to_val": made.moved_to_val}
        emit(stdout, found, as_json=json, text=_selected(found))


def card(
    dataset: Source,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for card.md and card.html.")] = None,
    where: Annotated[str | None, typer.Option("--where", help="Only these episodes: a condition as of select.")] = None,
    verdicts: Verdicts = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Write what a dataset holds and what it lacks: counts, rights, coverage, duplicates, charts and pictures."""
    from components.core.workspace import beside
    from components.dataset.select import select as select_parts
    from components.view.card import write_card
    from flows.output import emit, results_only

    with results_only() as stdout:
        parts = _parts(dataset, at)
        known = judged(dataset, parts, verdicts)
        if where is not None:
            parts = select_parts(parts, where, known.path, unjudged=known.reason)
        folder = out or beside(dataset.absolute(), "card")
        made = write_card(parts, folder, name=dataset.absolute().name, verdicts=known.path, where=where or "")
        value = {"markdown": str(made.markdown), "html": str(made.html), "facts": made.facts}
        emit(stdout, value, as_json=json, text=f"{made.markdown}\n{made.html}")


def view(
    dataset: Source,
    episode: Annotated[str, typer.Argument(help="Its number, its id, or how the id begins.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for episode.rrd and episode.html; beside the dataset else.")
    ] = None,
    verdicts: Verdicts = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Show one episode: a page for any browser, and a recording for the Rerun viewer."""
    from components.core.workspace import beside
    from components.view.find import find_episode
    from components.view.view import view as write_view
    from flows.output import emit, results_only

    with results_only() as stdout:
        parts = _parts(dataset, at)
        known = judged(dataset, parts, verdicts)
        chosen = find_episode(parts, episode, where=str(dataset), verdicts=known.path)
        folder = out or beside(dataset.absolute(), "views") / chosen.episode_id[:_ID]
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


def _parts(dataset: Path, at: list[str] | None) -> list[Part]:
    from components.dataset.manifest import places
    from components.dataset.parts import parts_of

    return parts_of(dataset, places(at or ()))


def _nothing(found: dict[str, Any], error: NothingSelected) -> str:
    return f"0 of {found['of']} episodes\n" + (f"{error.hint}\n" if error.hint else "")


def _selected(found: dict[str, Any]) -> str:
    from components.view.markdown import lasting
    from flows.output import table

    total = found["total"]
    lines = [f"{total['episodes']} of {found['of']} episodes, {total['frames']} frames, {lasting(total['hours'])}"]
    for name, counts in found["counts"].items():
        named = [f"{row['value'] or 'not said'} {row['episodes']}" for row in counts["rows"][:_SHOWN]]
        more = counts["values"] - len(named)
        lines.append(f"  {name}: {', '.join(named)}" + (f" and {more} more" if more > 0 else ""))
    if found["rows"]:
        names = list(found["rows"][0])
        rows = [[_short(name, row[name]) for name in names] for row in found["rows"]]
        lines.append(table(names, rows).rstrip("\n"))
    if found["shown"] < total["episodes"]:
        lines.append(f"shown are the first {found['shown']}; --limit says how many")
    if "manifest" in found:
        lines.append(f"manifest {found['manifest']['path']} ({found['manifest']['digest'][:_ID]})")
    return "\n".join(lines)


def _short(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str("" if value is None else value)[: _ID if name == "episode_id" or name.endswith("sha256") else None]
