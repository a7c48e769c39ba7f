"""How fast policies train: our ACT beside LeRobot's on one tree, what a step spends in loading, and models on a GPU.

    python tests/bench/train.py                          # ACT of 51.6 M parameters, two 224x224 cameras, on one thread
    GRIPLINE_LEROBOT_PYTHON=... python tests/bench/train.py     # with LeRobot 0.4.4 on the same tree: docs/lerobot.md

Every measurement is a process of its own; the trainers take turns, round by round, and medians are printed. Batches of
8, chunks of 50, 14-d state and actions, weights drawn, frames decoded from video as they are needed. The clock runs
from the end of the first step on; CPU time holds threads and worker processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from ingest_scenes import CAMERAS, PX, write_tree
from train_runs import ACT, LEROBOT, RUNS

FRAMES, HELD_OUT_FRAMES = 200, 8
# Steps of the small preset for one of ACT.
TINY_STEPS = 10
GPU_STEPS = 20
LOADING_MAX = 0.05
NAMES = {
    "act": "ours, act",
    "lerobot": "LeRobot 0.4.4, ACT",
    "gripline-tiny": "ours, gripline-tiny",
}
ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, float]


def run(name: str, tree: Path, held_out: Path, steps: int, threads: int) -> Row:
    """One trainer in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    if name == "lerobot":
        sizes = [str(number) for number in (steps, threads, ACT["batch_size"], ACT["chunk"])]
        command = [os.environ["GRIPLINE_LEROBOT_PYTHON"], "-c", LEROBOT, str(tree), *sizes]
        environment |= {"PYTHONPATH": "", "HF_HOME": str(tree.parent / "hf")}
    else:
        command = [sys.executable, str(Path(__file__).with_name("train_runs.py")), name, str(tree), str(held_out)]
        command += [str(steps * (TINY_STEPS if name == "gripline-tiny" else 1)), str(threads)]
        environment |= {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return result


def summary(rows: list[Row]) -> Row:
    """Medians over the rounds."""
    rates = sorted(row["samples"] / row["wall_s"] for row in rows)
    return {
        "samples_per_s": median(rates),
        "slowest": rates[0],
        "fastest": rates[-1],
        "cpu_s_per_sample": median(row["cpu_s"] / row["samples"] for row in rows),
        "loading_share": median(row["loading_s"] / row["wall_s"] for row in rows),
    }


def show(found: dict[str, Row]) -> None:
    print(f"{'':<30}{'samples/s':>10}{'slowest':>9}{'fastest':>9}{'CPU s/sample':>14}{'loading':>9}")
    for name, row in found.items():
        print(
            f"{NAMES[name]:<30}{row['samples_per_s']:>10.2f}{row['slowest']:>9.2f}{row['fastest']:>9.2f}"
            f"{row['cpu_s_per_sample']:>14.4f}{row['loading_share']:>8.1%}"
        )
    share = found["act"]["loading_share"]
    print(f"\nloading, of a step of act: aim {LOADING_MAX:.0%}: {'met' if share <= LOADING_MAX else 'MISSED'}")
    if "lerobot" in found:
        ours, theirs = found["act"], found["lerobot"]
        wall = ours["samples_per_s"] / theirs["samples_per_s"]
        cpu = theirs["cpu_s_per_sample"] / ours["cpu_s_per_sample"]
        print(f"ours / LeRobot: {wall:.2f} by wall, {cpu:.2f} by CPU; aim 1: {'met' if cpu >= 1 else 'MISSED'}")
    else:
        print("LeRobot was not run: GRIPLINE_LEROBOT_PYTHON names no Python with LeRobot 0.4.4 (docs/lerobot.md)")


def on_gpu(steps: int, tree: Path) -> list[Row]:
    """Empty, and says so, where there is no GPU."""
    script = Path(__file__).with_name("train_gpu.py")
    done = subprocess.run(
        [sys.executable, str(script), str(steps), str(tree)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit("train_gpu.py failed")
    *lines, last = done.stdout.splitlines()
    print("\n" + "\n".join(lines))
    rows: list[Row] = json.loads(last)
    return rows


def main(
    episodes: Annotated[int, typer.Option(help=f"Episodes of {FRAMES} frames.")] = 4,
    steps: Annotated[int, typer.Option(help="Steps of each measurement, the first of which is not counted.")] = 5,
    rounds: Annotated[int, typer.Option(help="Measurements of each trainer.")] = 3,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    json_to: Annotated[Path | None, typer.Option("--json", help="Also writes the figures into this file.")] = None,
    skip_lerobot: Annotated[bool, typer.Option("--skip-lerobot", help="Measure ours only.")] = False,
) -> None:
    """Prints samples a second, CPU time a sample, and the share of a step that loading takes."""
    if steps < 2:
        raise SystemExit("--steps must be at least 2: the first one is not counted")
    names = [*RUNS, *(["lerobot"] if os.environ.get("GRIPLINE_LEROBOT_PYTHON") and not skip_lerobot else [])]
    rows: dict[str, list[Row]] = {name: [] for name in NAMES if name in names}
    with tempfile.TemporaryDirectory() as scratch:
        tree, held_out = Path(scratch) / "tree", Path(scratch) / "held_out"
        write_tree(tree, episodes, FRAMES)
        write_tree(held_out, 1, HELD_OUT_FRAMES)
        print(f"{episodes * FRAMES} windows, {len(CAMERAS)} cameras of {PX} px, {threads} thread(s)\n")
        for _ in range(rounds):
            for name, measured in rows.items():
                measured.append(row := run(name, tree, held_out, steps, threads))
                print(f"{name}: {row['cpu_s'] / row['samples']:.4f} CPU s a sample", file=sys.stderr, flush=True)
        found = {name: summary(measured) for name, measured in rows.items()}
        show(found)
        gpu = on_gpu(GPU_STEPS, tree)
    if json_to:
        json_to.write_text(json.dumps({"cpu": found, "gpu": gpu}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    typer.run(main)
