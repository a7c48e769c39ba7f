"""What checking costs: Great Expectations on 10,000 episodes, measuring without and with video, and peak memory.

    python tests/bench/check_costs.py              # all but the million frames
    python tests/bench/check_costs.py --large      # and those

CPU seconds, every measurement in a process of its own, one thread. A dataset without video holds episodes of 200 frames
of a two-armed robot with 14 joints; the one with video two 224x224 cameras, and beside it stands a bare loop that
decodes the same files.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from ingest_scenes import FPS, INSTRUCTION, bench_embodiment, numbers, write_tree

from components.checks.codes import CHECKS, NEEDS, UNMEASURED
from components.checks.gx import Judge, load_gx
from components.checks.profile import profile_of
from components.checks.suite import bound
from components.checks.table import measure_dataset
from components.checks.verdicts import judge_dataset
from components.core.params import load_params
from components.core.spec import Embodiment, ObservationSpec
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.prepare import prepare
from components.dataset.writer import DatasetWriter

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")
EPISODE = 200
ROWS, BAD = 10_000, 0.02
# Episodes with video: 4,000 pictures.
VIDEO_EPISODES = 10
TINY = 16


def judged_table() -> pd.DataFrame:
    """Every number on its bound, but in some rows one beyond it; names and the columns of drift at random."""
    rng = np.random.default_rng(1)
    rules = [rule for check in CHECKS for rule in check.rules if rule.column != UNMEASURED]
    limits = {rule.column: bound(rule, PARAMS.checks) for rule in rules}
    columns: dict[str, Any] = {
        "episode_id": [f"{number:064x}" for number in range(ROWS)],
        **{name: rng.normal(size=ROWS) for name in ("path", "path_efficiency", "idle_share", "ldlj")},
        **{f"brightness_cam{number}": rng.normal(100, 10, ROWS) for number in range(2)},
        **{name: np.full(ROWS, "" if limit is None else limit) for name, limit in limits.items()},
    }
    for name, count in (("task", 5), ("robot_id", 20), ("site", 4), ("scene", 3), ("instruction", 40)):
        columns[name] = [f"{name}-{number}" for number in rng.integers(0, count, ROWS)]
    table = pd.DataFrame(columns).astype(dict.fromkeys([n for n, limit in limits.items() if limit is None], object))
    for row in rng.choice(ROWS, int(BAD * ROWS), replace=False):
        rule = rules[rng.integers(len(rules))]
        limit = limits[rule.column]
        table.loc[row, rule.column] = "x" if limit is None else limit + (-1.0 if rule.kind == "at_least" else 1.0)
    return table


def gx(folder: Path) -> dict[str, float]:
    """All suites, with a baseline, their results and the Data Docs."""
    started = time.process_time()
    load_gx()
    loaded = time.process_time()
    table = judged_table()
    baseline = profile_of(table, "0" * 64)
    ready = time.process_time()
    with Judge(folder / "docs") as judge:
        verdicts = judge_dataset(table, PARAMS.checks, judge, frozenset(NEEDS), baseline)
    judge.write_results(folder / "validations")
    done = time.process_time()
    assert len(verdicts.evidence) == int(BAD * ROWS)
    return {"import_s": loaded - started, "judging_s": done - ready}


def measure(tree: Path, *, pictures: bool) -> dict[str, float]:
    started = time.process_time()
    table = measure_dataset(tree, PARAMS.checks, pictures=pictures)
    frames = float(np.sum(table["length"].to_numpy()))
    return {"cpu_s": time.process_time() - started, "frames": frames}


def decode(tree: Path) -> dict[str, float]:
    """Every picture, and nothing done with it."""
    started, frames = time.process_time(), 0
    for path in sorted(tree.rglob("*.mp4")):
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "NONE"
            frames += sum(1 for _ in container.decode(video=0))
    return {"cpu_s": time.process_time() - started, "frames": float(frames)}


def write_numbers(tree: Path, episodes: int) -> None:
    """Sixteen episodes with tiny pictures, again and again under other ids."""
    arms = bench_embodiment()
    body = Embodiment(arms.name, ObservationSpec(("cam0",), TINY, arms.observation.state), arms.action)
    made = [prepare(_episode(number), FPS, PARAMS.ingest.video, image_px=TINY) for number in range(16)]
    with DatasetWriter(tree, body, FPS, PARAMS.ingest.video) as writer:
        for number in range(episodes):
            writer.add(replace(made[number % len(made)], episode_id=f"{number:064x}"))
        writer.close()


def _episode(number: int) -> EpisodeFrames:
    return EpisodeFrames(
        episode_id=f"{number:064x}",
        task=f"task {number % 5}",
        instruction=INSTRUCTION,
        images={"cam0": np.zeros((EPISODE, TINY, TINY, 3), np.uint8)},
        state=numbers(number + 1000, EPISODE).astype(np.float32),
        action=numbers(number, EPISODE).astype(np.float32),
        time_s=np.arange(EPISODE) / FPS,
        row=dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": "bench-arms"},
    )


def alone(what: str, path: Path) -> dict[str, float]:
    """One measurement in a fresh process, with its peak memory in MB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRIPLINE_WORKERS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, what, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{what}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(what: str, path: Path) -> None:
    act = {
        "gx": gx,
        "numbers": lambda tree: measure(tree, pictures=False),
        "video": lambda tree: measure(tree, pictures=True),
        "decode": decode,
    }[what]
    print(json.dumps({**act(path), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main(large: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = alone("gx", folder / "gx")
        print(f"Great Expectations: import {found['import_s']:.2f} s; {ROWS} episodes: {found['judging_s']:.2f} s")
        write_tree(folder / "video", VIDEO_EPISODES, EPISODE)
        ours, bare = (alone(what, folder / "video") for what in ("video", "decode"))
        print(
            f"{bare['frames']:.0f} pictures: {ours['cpu_s']:.2f} s, bare decoding {bare['cpu_s']:.2f} s: "
            f"{ours['cpu_s'] / bare['cpu_s']:.2f} times"
        )
        for frames in (100_000, 1_000_000) if large else (100_000,):
            write_numbers(folder / str(frames), frames // EPISODE)
            found = alone("numbers", folder / str(frames))
            print(f"{frames} frames without video: {found['cpu_s']:.2f} s, peak {found['peak_mb']:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] != "--large":
        one(sys.argv[1], Path(sys.argv[2]))
    else:
        main("--large" in sys.argv)
