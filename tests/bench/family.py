"""Every small preset on the same recordings with the same training time: who does the tasks, and what it costs.

    python tests/bench/family.py --minutes 30 --out family                          # records 50 episodes a task first
    python tests/bench/family.py --workspace . --minutes 30 --out family act-small oft-small

A workspace is one with data/dataset and data/checks/verdicts.parquet. Each preset trains for `--minutes` of CPU time on
one thread: a few steps say what one costs, and so many are taken that the time is used up. The learning rate is that of
its card, or of params.yaml. Then its bundle is tried in the simulated cell as the stage evaluate does it, and asked for
one answer after the other in a process without torch. Everything runs in processes of its own. A preset whose result
lies in `--out` is not run again; family.md and family.json hold all that were asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from transfer_robots import make_workspace, record

from components.core.files import read_json, write_json, write_text
from components.core.params import load_params
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.policy.catalogue.families import CARDS, PRESETS

ROOT = Path(__file__).resolve().parents[2]
RESULT = "result.json"
PHASES = ("train", "export", "answer", "rollouts")
SMALL = tuple(card.presets[-1].name for card in CARDS)
Result = dict[str, Any]


def settings_of(preset: str, dataset: str, minutes: float, rollouts: int, batch_size: int, rate: float) -> Result:
    """All that a result follows from, the code apart. `dataset`: its digest; `rate`: where the card has no hint."""
    return {
        "preset": preset,
        "dataset": dataset,
        "minutes": minutes,
        "rollouts": rollouts,
        "batch_size": batch_size,
        "learning_rate": PRESETS[preset].learning_rate or rate,
    }


def measured(settings: Result, workspace: Path, folder: Path) -> Result | None:
    """The result of one preset, made where it is not there yet; None where a phase failed, which was then printed.

    Raises `SystemExit` for a result of other settings: one table holds runs that compare.
    """
    found = folder / RESULT
    if found.is_file():
        kept: Result = read_json(found)
        if kept["settings"] != settings:
            differ = sorted(name for name in settings if kept["settings"].get(name) != settings[name])
            raise SystemExit(f"{found} was made with another {', '.join(differ)}: choose another --out, or remove it")
        return kept
    # What a run that was ended left would be taken up with other steps.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "settings.json", settings)
    result: Result = {"settings": settings}
    for phase in PHASES:
        done = run_phase(phase, workspace, folder)
        if done.returncode:
            print(f"{settings['preset']}: {phase} failed\n{done.stderr[-2000:]}", file=sys.stderr, flush=True)
            return None
        result[phase] = json.loads(done.stdout.splitlines()[-1])
    write_json(found, result)
    return result


def run_phase(phase: str, workspace: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GRIPLINE_WORKERS": "1"}
    environment |= {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "osmesa"), "LP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("family_runs.py"))
    command = [sys.executable, script, phase, str(workspace.resolve()), str(folder.resolve())]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def table(results: Sequence[Result]) -> str:
    """Markdown, the most successful first; the same results give the same text."""
    tasks = sorted({task for one in results for task in one["rollouts"]})
    heads = ["preset", "parameters", "learning rate", "steps", "training, CPU s", "held-out error", *tasks, "mean",
             "an answer, CPU ms"]  # fmt: skip
    rows = [heads, ["---"] * len(heads), *(_row(one, tasks) for one in sorted(results, key=_order))]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    shared = results[0]["settings"]
    about = (
        f"{shared['minutes']:g} minutes of training on one thread each, batches of {shared['batch_size']}, "
        f"{shared['rollouts']} rollouts a task; dataset {shared['dataset'][:12]}."
    )
    return "\n".join([about, "", *lines]) + "\n"


def mean_success(result: Result) -> float:
    """Mean of the rates of the tasks."""
    rates = [row["successes"] / row["n"] for row in result["rollouts"].values()]
    return sum(rates) / len(rates)


def _order(result: Result) -> tuple[float, str]:
    return -mean_success(result), result["settings"]["preset"]


def _row(result: Result, tasks: Sequence[str]) -> list[str]:
    settings, trained, rollouts = result["settings"], result["train"], result["rollouts"]
    return [
        f"`{settings['preset']}`",
        f"{trained['parameters'] / 1e6:.2f} M",
        f"{settings['learning_rate']:g}",
        f"{trained['steps']}",
        f"{trained['cpu_s']:.0f}",
        f"{trained['error']:.4f}",
        *(_cell(rollouts.get(task)) for task in tasks),
        f"{mean_success(result):.2f}",
        f"{result['answer']['cpu_ms']:.1f}",
    ]


def _cell(row: Mapping[str, int] | None) -> str:
    return f"{row['successes']}/{row['n']}" if row else "-"


def recorded(folder: Path, count: int) -> Path:
    """A workspace with `count` demonstrations of each task of params.yaml, recorded where it is not there."""
    workspace = Workspace(folder)
    if not (workspace.checks / "verdicts.parquet").is_file():
        params = load_params(ROOT / "params.yaml")
        record(folder / "raw", params.raw.tasks, count, params.raw)
        make_workspace(folder, folder / "raw", params.raw.tasks, SAWYER_CELL, params)
    return folder


def main(
    presets: Annotated[list[str] | None, typer.Argument(help="Of the catalogue; all small ones by default.")] = None,
    minutes: Annotated[float, typer.Option(help="Of CPU time that each preset trains for.")] = 30.0,
    out: Annotated[Path, typer.Option(help="Where results are kept and looked for.")] = Path("family"),
    workspace: Annotated[
        Path | None, typer.Option(help="With a checked dataset; recorded where none is named.")
    ] = None,
    demonstrations: Annotated[int, typer.Option(help="A task, where they are recorded.")] = 50,
    rollouts: Annotated[int, typer.Option(help="Closed-loop episodes a task and preset.")] = 20,
    batch_size: Annotated[int | None, typer.Option(help="That of params.yaml by default.")] = None,
) -> None:
    names = presets or list(SMALL)
    if unknown := sorted(set(names) - set(PRESETS)):
        raise SystemExit(f"no preset {unknown[0]!r}; known are {', '.join(sorted(PRESETS))}")
    params = load_params(ROOT / "params.yaml")
    place = workspace or recorded(out / "workspace", demonstrations)
    dataset = Dataset.open(Workspace(place).dataset).digest
    failed, results = [], []
    for name in names:
        size, rate = batch_size or params.train.batch_size, params.train.learning_rate
        settings = settings_of(name, dataset, minutes, rollouts, size, rate)
        result = measured(settings, place, out / name)
        if result is None:
            failed.append(name)
            continue
        results.append(result)
        write_json(out / "family.json", {"results": results})
        write_text(out / "family.md", table(results))
        print(f"{name}: {mean_success(result):.2f} after {result['train']['steps']} steps", file=sys.stderr, flush=True)
    if results:
        print(table(results))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    typer.run(main)
