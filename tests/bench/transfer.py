"""Does a trunk trained on one robot spare a second one demonstrations?

    python tests/bench/transfer.py                       # records, ingests, trains: about half an hour on one core
    python tests/bench/transfer.py --raw RECORDINGS --out transfer.png --rollouts 20

The simulated cell is recorded once and ingested as two robots: the cell as it is (two cameras, 4 state and 4 action
numbers) with one set of tasks, and an arm with one camera, 11 state and 3 action numbers with another set, which the
first never saw. A base is trained on the first; then the second is trained with N demonstrations a task, from the base
and from scratch: the same steps, augmentation, learning rate, held-out episodes and seeds. Printed is the mean
|action - target| over its held-out episodes, actions in [-1, 1], and with --rollouts successes in the cell.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import torch
import typer
from transfer_robots import SECOND, make_workspace, only, record, success

from components.core.params import Params, load_params
from components.core.spec import SAWYER_CELL
from components.core.train_params import Pinned
from components.core.workspace import Workspace
from components.policy.checkpoint import checkpoint_digest, load_policy
from components.train.data import ValidationStream, Windows
from components.train.inputs import Inputs, load_inputs
from components.train.jobs import Job
from components.train.train import train_one

BASE_TASKS = ("drawer-open", "button-press-topdown", "handle-pull")
TASKS = ("faucet-open", "faucet-close")
COUNTS = (5, 10, 20, 40)
SEEDS = (1, 2)
# Scenes that no demonstration shows.
FIRST_SEED = 100_000
ROOT = Path(__file__).resolve().parents[2]


def settings(params: Params, steps: int, **changes: Any) -> Params:
    train = params.train.model_copy(
        update={"steps": steps, "blind_steps": 0, "wordless_steps": 0, "seeds": (1,), **changes}
    )
    return params.model_copy(update={"train": train})


def held_out_error(folder: Path, inputs: Inputs, params: Params) -> float:
    """Mean |action - target| in [-1, 1] over every action of every held-out window."""
    policy, _, transforms = load_policy(folder)
    total = count = 0.0
    with inputs.val.loader(params.train, shuffle=False) as loader, torch.no_grad():
        for batch in ValidationStream(Windows(loader, transforms), 64):
            error = (policy(batch["images"], batch["state"], batch["tokens"]) - batch["actions"]).abs()
            total += float((error * batch["mask"].unsqueeze(2)).sum())
            count += float(batch["mask"].sum()) * error.shape[2]
    return total / count


def train_second(
    workspace: Workspace, params: Params, folder: Path, number: int, base: Pinned, seed: int, rollouts: int
) -> dict[str, float]:
    where = only(workspace, TASKS, number)
    asked = settings(params, params.train.steps, where=where, start_from=base)
    inputs = load_inputs(workspace, asked)
    train_one(Job("second", seed, asked.train.steps), inputs, asked.train, folder)
    found = {"episodes": float(len(inputs.episodes)), "error": held_out_error(folder, inputs, asked)}
    if rollouts:
        policy, _, transforms = load_policy(folder)
        seeds = range(FIRST_SEED, FIRST_SEED + rollouts)
        wins = [success(policy, transforms, name, seeds, params.evaluate.execute) for name in TASKS]
        found["success"] = sum(wins) / (rollouts * len(TASKS))
    return found


def table(rows: Sequence[dict[str, Any]], counts: Sequence[int], measure: str) -> str:
    lines = [f"{measure}, mean of {len({row['seed'] for row in rows})} seeds (each)"]
    lines.append(f"{'a task':>7}{'episodes':>10}{'from scratch':>26}{'from the base':>26}")
    for number in counts:
        cells = []
        for start in ("scratch", "base"):
            values = [row[measure] for row in rows if (row["number"], row["start"]) == (number, start)]
            cells.append(f"{mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})")
        episodes = next(int(row["episodes"]) for row in rows if row["number"] == number)
        lines.append(f"{number:>7}{episodes:>10}{cells[0]:>26}{cells[1]:>26}")
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, Any]], counts: Sequence[int], out: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for start, name in (("scratch", "from scratch"), ("base", "from the base of another robot")):
        found = [[row["error"] for row in rows if (row["number"], row["start"]) == (n, start)] for n in counts]
        (line,) = axes.plot(counts, [mean(values) for values in found], marker="o", label=name)
        for number, values in zip(counts, found, strict=True):
            axes.plot([number] * len(values), values, ".", color=line.get_color(), alpha=0.5)
    axes.set(xlabel="demonstrations a task", ylabel="held-out action error", xscale="log")
    axes.set_xticks(counts, [str(number) for number in counts])
    axes.set_xticks([], minor=True)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(str(out), metadata={"Software": None})


def main(
    raw: Annotated[
        Path | None, typer.Option(help="Folder with a folder of HDF5 recordings a task; made where absent")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A PNG of the errors")] = None,
    work: Annotated[Path | None, typer.Option(help="Where datasets and policies are kept; nowhere by default")] = None,
    base_steps: int = 2000,
    steps: int = 600,
    rollouts: Annotated[int, typer.Option(help="Closed-loop episodes a task and policy; 0: none")] = 0,
    counts: Annotated[list[int], typer.Option("--demonstrations")] = list(COUNTS),  # noqa: B006
) -> None:
    torch.set_num_threads(1)
    loaded = load_params(ROOT / "params.yaml")
    split = loaded.ingest.model_copy(update={"val_share": 0.2})
    params = settings(loaded, steps, batch_size=32).model_copy(update={"ingest": split})
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        raw = raw or folder / "raw"
        record(raw, BASE_TASKS, 40, loaded.raw)
        record(raw, TASKS, 50, loaded.raw)
        first = make_workspace(folder / "first", raw, BASE_TASKS, SAWYER_CELL, params)
        second = make_workspace(folder / "second", raw, TASKS, SECOND, params)
        base_params = settings(params, base_steps)
        train_one(Job("base", 1, base_steps), load_inputs(first, base_params), base_params.train, folder / "base")
        base = Pinned(path=str(folder / "base"), sha256=checkpoint_digest(folder / "base"))
        rows = []
        for number in counts:
            for seed in SEEDS:
                for start, pinned in (("scratch", Pinned()), ("base", base)):
                    target = folder / f"{start}-{number}-{seed}"
                    found = train_second(second, params, target, number, pinned, seed, rollouts)
                    rows.append({"number": number, "seed": seed, "start": start, **found})
                    print(json.dumps(rows[-1]), flush=True)
    print(table(rows, counts, "error"))
    if rollouts:
        print(table(rows, counts, "success"))
    if out:
        draw(rows, counts, out)


if __name__ == "__main__":
    typer.run(main)
