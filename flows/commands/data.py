"""record, inspect, ingest, check."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json


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


def inspect(path: Path, json: Json = False) -> None:
    """Say what a recording, or a folder of them, holds and what is wrong with it."""
    from components.formats.inspect import inspect_path
    from flows.output import emit, results_only, table

    with results_only() as stdout:
        found = inspect_path(path)
        streams = [
            [s["name"], s["kind"], str(s["shape"]), s["dtype"], f"{s['rate_hz']:.1f}", str(s["count"])]
            for s in found["streams"]
        ]
        head = f"{path}: {found['format']} ({found['dialect']}), {found['episodes']} episodes"
        text = head + "\n" + table(["stream", "kind", "shape", "dtype", "Hz", "samples"], streams)
        text += "".join(f"problem [{p['code']}] {p['where']}: {p['detail']}\n" for p in found["problems"])
        emit(stdout, found, as_json=json, text=text)
    if found["problems"] and not found["episodes"]:
        raise typer.Exit(3)


def ingest(
    sources: Annotated[list[Path], typer.Argument(help="Recordings or folders of recordings, in any mix of formats.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset.")],
    json: Json = False,
) -> None:
    """Turn recordings into one LeRobot v3.0 dataset; what cannot be read is named, set aside and counted."""
    from components.core.params import load_params
    from components.core.spec import embodiment
    from components.core.workspace import find_workspace
    from components.ingest.ingest import ingest as ingest_files
    from flows.output import emit, results_only

    with results_only() as stdout:
        params = load_params(find_workspace().root / "params.yaml").ingest
        report = ingest_files(sources, out, params, embodiment(params.embodiment)).as_dict()
        text = f"{report['episodes_out']} of {report['episodes_in']} episodes, {report['frames']} frames in {out}\n"
        text += "".join(f"set aside [{q['code']}] {q['source']}: {q['detail']}\n" for q in report["quarantined"])
        emit(stdout, report, as_json=json, text=text)


def check(
    dataset: Annotated[Path | None, typer.Argument(help="Dataset; the workspace's own where none is given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for verdicts and Data Docs.")] = None,
    json: Json = False,
) -> None:
    """Judge every episode of a dataset; exit 1 where the dataset as a whole does not pass."""
    from components.checks.check import check_dataset
    from components.core.params import load_params
    from components.core.workspace import find_workspace
    from flows.output import emit, results_only

    with results_only() as stdout:
        workspace = find_workspace()
        params = load_params(workspace.root / "params.yaml").checks
        # Great Expectations takes absolute folders only.
        dataset = None if dataset is None else dataset.absolute()
        out = None if out is None else out.absolute()
        target = out or (workspace.checks if dataset is None else dataset.with_name(f"{dataset.name}-checks"))
        docs = workspace.check_docs if out is None and dataset is None else target.with_name(f"{target.name}-docs")
        report = check_dataset(dataset or workspace.dataset, target, docs, params)
        text = f"{report['episodes']} episodes, {len(report['failed'])} set aside, docs in {report['docs']}\n"
        text += "".join(f"  {e['episode_id'][:12]} {', '.join(e['codes'])}\n" for e in report["failed"])
        emit(stdout, report, as_json=json, text=text)
    if not report["passed"]:
        raise typer.Exit(1)
