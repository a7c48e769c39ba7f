"""What it costs to open a large dataset and to draw single samples from it.

    python tests/bench/opening.py                         # 1,000,000 episodes
    python tests/bench/opening.py --episodes 10000        # quick
    python tests/bench/opening.py --folder /big/scratch   # where the tree is made

The tree has the layout and the index of a real one. Its data and video files are hard links to one real small file of
each kind, 200 episodes in each; the data files of the episodes that are sampled are real ones with their own numbers.
Opening and sampling are measured in fresh processes: wall seconds of the call and of the whole process with Python and
imports, CPU seconds, and peak memory of the process. "cold": the metadata was dropped from the page cache before.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

TARGET_WALL_S = 2.0
TARGET_PEAK_MB = 500
SAMPLES = 100


def peak_mb() -> float:
    """Largest resident set of this process; getrusage would count the process that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def opened(root: Path) -> dict[str, Any]:
    """Opens, then draws samples: two numeric columns and the pictures of all cameras of one random episode."""
    from components.dataset.layout import ACTION, STATE
    from components.dataset.reader import Dataset

    wall, cpu = time.perf_counter(), time.process_time()
    dataset = Dataset.open(root)
    result: dict[str, Any] = {
        "open_s": time.perf_counter() - wall,
        "open_cpu_s": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }
    result["whole_s"] = time.time() - float(os.environ["BENCH_STARTED"])
    result["whole_cpu_s"] = time.process_time()
    samples = []
    for index in sampled(len(dataset)):
        wall = time.perf_counter()
        rows = dataset.frames(int(index), [STATE, ACTION])[STATE]
        pictures = [dataset.images(int(index), camera) for camera in dataset.cameras]
        samples.append(time.perf_counter() - wall)
        assert {len(rows), *map(len, pictures)} == {int(dataset.lengths[index])}
    wall = time.perf_counter()
    names = {dataset.episode_id(int(index)) for index in sampled(len(dataset))}
    result["names_ms"] = (time.perf_counter() - wall) * 1e3 / len(names)
    result |= {"samples_ms": sorted(1e3 * second for second in samples), "sampled_peak_mb": peak_mb()}
    return result


def sampled(episodes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The episodes that are drawn."""
    return np.random.default_rng(1).choice(episodes, min(SAMPLES, episodes), replace=False)


def measured(root: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", "--folder", str(root)]
    environment = os.environ | {"BENCH_STARTED": str(time.time())}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def forget(root: Path) -> None:
    """Drops the metadata from the page cache."""
    for path in (root / "meta").rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(root: Path, episodes: int, rounds: int) -> None:
    runs = []
    for _ in range(rounds):
        forget(root)
        runs += [("cold", measured(root)), ("warm", measured(root))]
    head = f"{'':<6}{'open s':>8}{'CPU s':>8}{'process s':>11}{'CPU s':>8}"
    print(head + f"{'peak MB':>9}{'sample ms':>11}{'worst':>8}{'id ms':>8}")
    for name, run in runs:
        times = run["samples_ms"]
        print(
            f"{name:<6}{run['open_s']:>8.2f}{run['open_cpu_s']:>8.2f}{run['whole_s']:>11.2f}{run['whole_cpu_s']:>8.2f}{run['peak_mb']:>9.0f}"
            f"{times[len(times) // 2]:>11.1f}{times[-1]:>8.1f}{run['names_ms']:>8.1f}"
        )
    walls, peak = sorted(run["whole_s"] for _, run in runs), max(run["peak_mb"] for _, run in runs)
    middle = statistics.median(walls)
    print(f"{episodes} episodes: {middle:.2f} s, target {TARGET_WALL_S} s: {_verdict(middle < TARGET_WALL_S)}", end="")
    print(f" ({walls[0]:.2f} to {walls[-1]:.2f} s; load of the machine {os.getloadavg()[0]:.1f})")
    print(f"peak {peak:.0f} MB at worst, target {TARGET_PEAK_MB} MB: {_verdict(peak < TARGET_PEAK_MB)}")
    print(f"peak with {SAMPLES} samples drawn: {max(run['sampled_peak_mb'] for _, run in runs):.0f} MB")


def _verdict(good: bool) -> str:
    return "holds" if good else "DOES NOT HOLD"


def main(
    episodes: Annotated[int, typer.Option(help="Episodes of the tree.")] = 1_000_000,
    folder: Annotated[Path | None, typer.Option(help="Where the tree is made, and left.")] = None,
    rounds: Annotated[int, typer.Option(help="Processes that open it, cold and warm each.")] = 3,
    measure: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    if measure and folder is not None:
        sys.stdout.write(json.dumps(opened(folder)))
        return
    from opening_tree import make_tree

    with tempfile.TemporaryDirectory() as scratch:
        root = folder or Path(scratch) / "tree"
        begun = time.perf_counter()
        make_tree(root, episodes, sampled(episodes).tolist())
        size = (root / "meta/gripline/episodes.parquet").stat().st_size
        print(f"made in {time.perf_counter() - begun:.0f} s; the index has {size / 1e6:.0f} MB")
        report(root, episodes, rounds)


if __name__ == "__main__":
    typer.run(main)
