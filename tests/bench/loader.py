"""How fast training windows come: ours from video and from a cache, beside a plain loader, LeRobot's, and the limits.

    python tests/bench/loader.py                          # 20 episodes of 200 frames, two 224x224 cameras
    GRIPLINE_LEROBOT_PYTHON=... python tests/bench/loader.py    # with LeRobot 0.4.4 on the same tree: docs/lerobot.md
    python tests/bench/loader.py --sweep                  # what run_frames and pool_windows cost

Every measurement is a process of its own; the loaders take turns, round by round, and medians are printed. A sample is
one window: both pictures, the state and 50 actions, 14-d each. Batches of 32, 2 threads or worker processes. The clock
runs from the first batch on; CPU time holds workers and threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from ingest_scenes import CAMERAS, PX, write_tree
from loader_runs import BATCH, CHUNK, LEROBOT, WORKERS

from components.dataset.loading.choose import COPY_S_PER_BYTE, DECODE_S_PER_BYTE, STORE_S_PER_BYTE

FRAMES = 200
# The slow ones are measured over a part of an epoch.
SHARES = {"naive": 0.2, "lerobot": 0.5}
NAMES = {
    "video": "ours, from video",
    "cache": "ours, from the cache",
    "naive": "PyAV a sample, DataLoader",
    "lerobot": "LeRobot 0.4.4, DataLoader",
    "decode": "limit: decode every frame once",
    "copy": "limit: copy the same bytes",
}
ROOT = Path(__file__).resolve().parents[2]


def run(name: str, tree: Path, windows: int, options: dict[str, int] | None = None) -> dict[str, float]:
    """One loader in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    if name == "lerobot":
        sizes = [str(number) for number in (windows, BATCH, CHUNK, WORKERS)]
        command = [os.environ["GRIPLINE_LEROBOT_PYTHON"], "-c", LEROBOT, str(tree), *sizes]
        environment |= {"PYTHONPATH": "", "HF_HOME": str(tree.parent / "hf")}
    else:
        script = Path(__file__).with_name("loader_runs.py")
        command = [sys.executable, str(script), name, str(tree), str(windows), json.dumps(options or {})]
        environment |= {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(row[name] for row in rows) for name in rows[0]}


def compare(tree: Path, windows: int, rounds: int) -> None:
    names = [name for name in NAMES if name != "lerobot" or os.environ.get("GRIPLINE_LEROBOT_PYTHON")]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            count = int(windows * SHARES.get(name, 1)) // BATCH * BATCH
            row = run(name, tree, count)
            seconds = {kind: value * windows / count for kind, value in row.items() if kind.endswith("_s")}
            rows[name].append(row | seconds)
    found = {name: medians(values) for name, values in rows.items()}
    print(f"{'':<33}{'samples/s':>11}{'slowest':>10}{'fastest':>10}{'CPU ms/sample':>15}{'peak MB':>9}")
    for name, row in found.items():
        rates = sorted(windows / value["wall_s"] for value in rows[name])
        print(
            f"{NAMES[name]:<33}{windows / row['wall_s']:>11.0f}{rates[0]:>10.0f}{rates[-1]:>10.0f}"
            f"{1e3 * row['cpu_s'] / windows:>15.3f}{row['peak_mb']:>9.0f}"
        )
    cache = found["cache"]
    print(f"\ncache built in {cache['build_wall_s']:.1f} s wall, {cache['build_cpu_s']:.1f} s CPU")
    per_byte = 1e9 / (windows * len(CAMERAS) * PX * PX * 3)
    decoded, stored = found["decode"]["cpu_s"], cache["build_cpu_s"] - found["decode"]["cpu_s"]
    print(
        f"CPU ns a byte of pictures: {decoded * per_byte:.2f} decoded, {stored * per_byte:.2f} stored, "
        f"{cache['cpu_s'] * per_byte:.2f} copied; choose.py goes by {1e9 * DECODE_S_PER_BYTE:.2f}, "
        f"{1e9 * STORE_S_PER_BYTE:.2f}, {1e9 * COPY_S_PER_BYTE:.2f}\n"
    )
    shares(found)


def shares(found: dict[str, dict[str, float]]) -> None:
    """How we stand to the others, by wall and by CPU time."""
    pairs: list[tuple[str, str, float]] = [("video", "decode", 0), ("cache", "copy", 0)]
    pairs += [("video", "naive", 0), ("cache", "naive", 0)]
    if "lerobot" in found:
        pairs += [("video", "lerobot", 1.5), ("cache", "lerobot", 10)]
    for ours, other, target in pairs:
        wall, cpu = (found[other][kind] / found[ours][kind] for kind in ("wall_s", "cpu_s"))
        verdict = f"  target {target:g}: {'met' if wall >= target else 'MISSED'}" if target else ""
        print(f"{NAMES[ours]:<21} / {NAMES[other]:<31}{wall:>7.2f} by wall, {cpu:.2f} by CPU{verdict}")


def sweep(tree: Path, windows: int, rounds: int) -> None:
    settings: list[dict[str, int]] = [
        {"run_frames": run_frames, "pool_windows": pool}
        for run_frames in (16, 32, 64, 128)
        for pool in (512, 1024, 2048)
    ]
    rows: dict[int, list[dict[str, float]]] = {number: [] for number in range(len(settings))}
    for _ in range(rounds):
        for number, options in enumerate(settings):
            rows[number].append(run("video", tree, windows, options))
    print(
        f"{'run_frames':>10}{'pool_windows':>14}{'runs a pool':>13}{'samples/s':>11}{'CPU ms/sample':>15}{'peak MB':>9}"
    )
    for number, options in enumerate(settings):
        row, (length, pool) = medians(rows[number]), options.values()
        print(
            f"{length:>10}{pool:>14}{pool // length:>13}{windows / row['wall_s']:>11.0f}"
            f"{1e3 * row['cpu_s'] / windows:>15.3f}{row['peak_mb']:>9.0f}"
        )


def main(
    episodes: Annotated[int, typer.Option(help=f"Episodes of {FRAMES} frames.")] = 20,
    rounds: Annotated[int, typer.Option(help="Measurements of each loader.")] = 3,
    only_sweep: Annotated[bool, typer.Option("--sweep", help="Measure settings of our loader instead.")] = False,
) -> None:
    """Prints samples a second and CPU time a sample."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        write_tree(tree, episodes, FRAMES)
        size = sum(path.stat().st_size for path in tree.rglob("*.mp4"))
        print(f"{episodes * FRAMES} windows, {len(CAMERAS)} cameras of {PX} px, {size / 1e6:.0f} MB of video\n")
        measure: Any = sweep if only_sweep else compare
        measure(tree, episodes * FRAMES, rounds)


if __name__ == "__main__":
    typer.run(main)
