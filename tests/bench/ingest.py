"""What ingest costs, by format, in one run on the same scenes.

    python tests/bench/ingest.py                 # 20 episodes of 200 rows, two 224x224 cameras: 4,000 rows a format
    python tests/bench/ingest.py --episodes 4    # quick

CPU seconds of each ingest and of its children, measured in a process of its own, its imports included; peak memory is
its largest resident set while it works alone: for 2 episodes of 200 rows, for 8 (in one file where the format holds
several), and for 2 of 800 rows. The scenes are moving discs on a textured table with sensor noise, at 50 Hz, with 14-d
state and action.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import av
import pyarrow.parquet as pq
import typer
from ingest_scenes import MAPPINGS, WRITERS, bench_embodiment

from components.core.params import load_params
from components.ingest.ingest import ingest

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def measured(source: Path, out: Path, processes: int) -> dict[str, float]:
    """One ingest in a fresh process: CPU and wall seconds, peak MB, rows, frames that a camera lost."""
    command = [sys.executable, __file__, "--one", str(source), "--out", str(out), "--processes", str(processes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def one(source: Path, out: Path, processes: int) -> None:
    params = load_params(PARAMS).ingest.model_copy(update={"fps": None})
    wall = time.perf_counter()
    report = ingest([source], out, params, bench_embodiment(), mappings=MAPPINGS, processes=processes)
    wall = time.perf_counter() - wall
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result = {
        "cpu_s": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "wall_s": wall,
        "peak_mb": peak_mb(),
        "rows": report.frames,
        "quarantined": len(report.quarantined),
        "mb": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6,
        "dropped": dropped(out),
    }
    sys.stdout.write(json.dumps(result))


def peak_mb() -> float:
    """Largest resident set of this process; getrusage would count the process that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def dropped(out: Path) -> int:
    """Rows without a picture, counted by decoding every video of the tree."""
    rows = sum(pq.read_metadata(path).num_rows for path in (out / "data").rglob("*.parquet"))
    missing = 0
    for camera in (out / "videos").iterdir():
        frames = 0
        for path in camera.rglob("*.mp4"):
            with av.open(str(path)) as container:
                frames += sum(1 for _ in container.decode(video=0))
        missing += abs(rows - frames)
    return missing


def main(
    episodes: Annotated[int, typer.Option(help="Episodes a format; 200 rows each.")] = 20,
    source: Annotated[Path | None, typer.Option("--one", hidden=True)] = None,
    out: Annotated[Path | None, typer.Option(hidden=True)] = None,
    processes: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    if source is not None and out is not None:
        one(source, out, processes)
        return
    with tempfile.TemporaryDirectory() as scratch:
        table(Path(scratch), episodes)


def table(scratch: Path, episodes: int) -> None:
    head = f"{'format':<18}{'rows':>7}{'CPU s':>8}{'rows/CPU s':>12}{'MB out':>8}{'dropped':>9}"
    print(head + f"{'2 workers: wall':>17}{'speed-up':>10}{'peak MB 1x':>12}{'4x episodes':>13}{'4x length':>11}")
    for name, write in WRITERS.items():
        source = scratch / name
        write(source, episodes, 200)
        base = measured(source, scratch / f"{name}-0", 0)
        two = measured(source, scratch / f"{name}-2", 2)
        single = measured(source, scratch / f"{name}-1", 1)
        peaks = []
        for count, steps in ((2, 200), (8, 200), (2, 800)):
            folder = scratch / f"{name}-{count}x{steps}"
            write(folder, count, steps)
            peaks.append(measured(folder, scratch / f"{folder.name}-out", 0)["peak_mb"])
        print(
            f"{name:<18}{base['rows']:>7.0f}{base['cpu_s']:>8.1f}{base['rows'] / base['cpu_s']:>12.0f}"
            f"{base['mb']:>8.1f}"
            f"{base['dropped']:>9.0f}{two['wall_s']:>15.1f} s{single['wall_s'] / two['wall_s']:>9.2f}x"
            f"{peaks[0]:>12.0f}{peaks[1]:>13.0f}{peaks[2]:>11.0f}"
        )


if __name__ == "__main__":
    typer.run(main)
