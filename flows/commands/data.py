"""record, inspect, ingest, check."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Json

if TYPE_CHECKING:
    from components.formats.mapping import Mapping


class Container(StrEnum):
    MCAP = "mcap"
    HDF5 = "hdf5"


def add_to(app: typer.Typer) -> None:
    for command in (record, inspect, ingest, check):
        app.command(command.__name__)(command)


def record(
    task: Annotated[str, typer.Option("--task", help="One of the simulated tasks, for example drawer-open.")],
    count: Annotated[int, typer.Option("-n", "--episodes", min=1, help="Episodes to record.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the recordings.")] = Path("recordings"),
    container: Annotated[Container, typer.Option("--format", help="What to write.")] = Container.MCAP,
    seed: Annotated[int | None, typer.Option(help="Another seed, another recording.")] = None,
    json: Json = False,
) -> None:
    """Record demonstrations in a simulated robot cell, as ROS 2 MCAP or robomimic HDF5."""
    from components.core.params import load_params
    from components.core.workspace import find_workspace
    from components.record.recorder import record_task
    from flows.output import emit, results_only

    with results_only() as stdout:
        raw = load_params(find_workspace().root / "params.yaml").raw
        files = [str(path) for path in record_task(task, count, out, container.value, raw=raw, seed=seed)]
        emit(stdout, {"episodes": count, "files": files}, as_json=json, text="\n".join(files))


def inspect(
    path: Annotated[Path, typer.Argument(help="File, folder, or a pattern in quotes: 'data/*.mcap'.")],
    mapping: Annotated[
        Path | None, typer.Option("--map", help="YAML that says which topic, dataset or feature is which stream.")
    ] = None,
    cuts: Annotated[Path | None, typer.Option("--cuts", help="Cut list that says which spans are episodes.")] = None,
    write_map: Annotated[
        Path | None, typer.Option("--write-map", help="Where to put the mapping that ruled, to be edited.")
    ] = None,
    write_cuts: Annotated[
        Path | None, typer.Option("--write-cuts", help="Where to put the cuts, as a list to be edited (.csv or .json).")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a recording, or a folder of them, holds, how it is read, and what is wrong with it."""
    from components.core.files import write_text
    from components.formats.cut_lists import read_cut_list, write_cut_list
    from components.formats.inspect import inspected
    from components.formats.mapping import load_mappings
    from flows.output import emit, results_only, table

    with results_only() as stdout:
        listed = read_cut_list(cuts) if cuts else None
        inspection = inspected(path, (*(load_mappings(mapping) if mapping else ()), *_team_mappings()), listed)
        found = inspection.as_dict()
        if write_map is not None:
            write_text(write_map, found["mapping"])
        if write_cuts is not None:
            write_cut_list(write_cuts, inspection.cut_list)
        streams = [
            [s["name"], s["kind"], str(s["shape"]), s["dtype"], f"{s['rate_hz']:.1f}", str(s["count"])]
            for s in found["streams"]
        ]
        dialect = f" ({found['dialect']})" if found["dialect"] else ""
        what = f"{found['format'] or 'nothing that is read'}{dialect}"
        text = f"{path}: {what}, {found['episodes']} episodes, {found['frames']} frames\n"
        text += table(["stream", "kind", "shape", "dtype", "Hz", "samples"], streams) if streams else ""
        text += f"{len(found['cuts'])} cuts proposed: keep them with --write-cuts FILE\n" if found["cuts"] else ""
        text += "".join(f"problem [{p['code']}] {p['where']}: {p['detail']}\n" for p in found["problems"])
        text += (
            f"mapping (keep it with --write-map FILE):\n{indent(found['mapping'], '  ')}" if found["mapping"] else ""
        )
        emit(stdout, found, as_json=json, text=text)
    if found["problems"] and not found["episodes"]:
        raise typer.Exit(3)


def _team_mappings() -> tuple[Mapping, ...]:
    """Those of the workspace around the current folder; none outside of one."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace
    from components.formats.mapping import mappings_in

    try:
        robots = find_workspace().robots
    except UsageError:
        return ()
    return mappings_in(robots / "maps")


def ingest(
    sources: Annotated[list[Path], typer.Argument(help="Recordings or folders of recordings, in any mix of formats.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset.")],
    mapping: Annotated[
        Path | None, typer.Option("--map", help="YAML that says which topic, dataset or feature is which stream.")
    ] = None,
    cuts: Annotated[
        Path | None, typer.Option("--cuts", help="List of the spans that are episodes, from `gripline inspect`.")
    ] = None,
    robot: Annotated[
        str | None, typer.Option("--embodiment", help="Robot that made them; that of params.yaml where absent.")
    ] = None,
    json: Json = False,
) -> None:
    """Turn recordings into one LeRobot v3.0 dataset; what cannot be read is named, set aside and counted.

    What the dataset holds already is not read again; what is no longer among the recordings leaves it.
    """
    from components.core.embodiment_files import embodiment
    from components.core.params import load_params
    from components.core.workspace import find_workspace
    from components.formats.mapping import load_mappings
    from components.ingest.ingest import ingest as ingest_files
    from components.ingest.stamps import CACHE
    from flows.output import emit, results_only

    with results_only() as stdout:
        workspace = find_workspace()
        params = load_params(workspace.root / "params.yaml").ingest
        own = load_mappings(mapping) if mapping else ()
        done = ingest_files(
            sources,
            out,
            params,
            embodiment(robot or params.embodiment, workspace.robots),
            mappings=(*own, *_team_mappings()),
            cuts=cuts,
            cache=workspace.state / CACHE,
        )
        report = done.as_dict()
        text = f"{done.episodes_out} of {done.episodes_in + done.deleted} episodes, {done.frames} frames in {out}"
        text += f" ({done.added} new)\n" if done.added != done.episodes_out else "\n"
        text += f"left out [deleted] {done.deleted}: taken out of the dataset before\n" if done.deleted else ""
        text += "".join(f"set aside [{q['code']}] {q['source']}: {q['detail']}\n" for q in report["quarantined"])
        emit(stdout, report, as_json=json, text=text)


def check(
    dataset: Annotated[Path | None, typer.Argument(help="Dataset; the workspace's own where none is given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for verdicts and Data Docs.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Earlier check, or its profile.json, that drift is measured against."),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="EPISODE",
            help="Judge nothing; show where the last check found what in one episode: its number, id or source.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Judge every episode of a dataset; exit 1 where the dataset as a whole does not pass."""
    from components.checks import accepted
    from components.checks.check import check_dataset
    from components.checks.remembered import CACHE
    from components.core.params import load_params
    from components.core.workspace import beside, find_workspace
    from flows.commands.checked import as_text
    from flows.output import emit, results_only

    with results_only() as stdout:
        workspace = find_workspace()
        params = load_params(workspace.root / "params.yaml").checks
        # The workspace's own is the same by its name; Great Expectations takes absolute folders only.
        own = dataset is None or dataset.resolve() == workspace.dataset.resolve()
        dataset = None if own or dataset is None else dataset.absolute()
        out = None if out is None else out.absolute()
        target = out or (workspace.checks if dataset is None else beside(dataset, "checks"))
        if explain is not None:
            found, text = _explained(dataset or workspace.dataset, target, explain)
            emit(stdout, found, as_json=json, text=text)
            return
        docs = workspace.check_docs if out is None and dataset is None else target.with_name(f"{target.name}-docs")
        # Another dataset is no later version of the workspace's own.
        before = accepted.baseline_by(None if dataset else workspace.accepted, baseline)
        remembered = workspace.state / CACHE if own else None
        report = check_dataset(dataset or workspace.dataset, target, docs, params, before, remembered=remembered)
        text = as_text(report)
        emit(stdout, report, as_json=json, text=text)
    if not report["passed"]:
        raise typer.Exit(1)


def _explained(dataset: Path, checks: Path, episode: str) -> tuple[dict[str, Any], str]:
    """What the check in the folder `checks` found in one episode, as an object and as text; writes its page too."""
    from components.checks.explain import explain
    from components.checks.explain_page import write_page
    from components.checks.explained_text import as_text as explained

    found = explain(dataset, checks, episode)
    folder = checks.with_name(f"{checks.name}-explained") / found.row["episode_id"][:12]
    html = write_page(found, folder)
    return {**found.as_dict(), "html": str(html)}, f"{explained(found)}\n{html}"
