"""What the data checks find: every fault of `docs/checks.md` in recorded episodes, judged among clean ones.

    python tests/bench/checks.py                                     # records 300 episodes of seed 23 first
    python tests/bench/checks.py --recordings data/raw --codes nan,blurred --episodes 30

Found: share of the faulty episodes that carry this very code, whether it warns or sets aside; one that ingest refuses
carries the code of the refusal. `instruction_mismatch_rate` counts tasks. False alarms are those of the clean episodes
alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from checkbench.api import judged
from checkbench.bench import Bench, bench
from checkbench.faults import FAULTS, STRENGTHS
from checkbench.report import as_json, lines
from checkbench.setting import Result, Setting, Task, ingest_clean, measure_clean
from tqdm import tqdm

from components.core.files import write_json
from components.core.params import Params, load_params
from components.core.spread import spread
from components.record.plan import plan_recording
from components.record.recorder import record_files

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
PROCESSES = 2
# Recorded where no recordings are given.
EPISODES_PER_TASK = 60

seconds: Counter[str] = Counter()


@contextmanager
def timed(phase: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[phase] += time.perf_counter() - begun


def main(
    seed: Annotated[int, typer.Option(help="Of the recording, and of what is drawn.")] = 23,
    episodes: Annotated[int, typer.Option(help="Faulty episodes of each code and strength.")] = 100,
    recordings: Annotated[Path | None, typer.Option(help="Clean recordings, in place of new ones.")] = None,
    codes: Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
    json: Annotated[Path | None, typer.Option(help="Where to write all results as JSON.")] = None,
    keep: Annotated[Path | None, typer.Option(help="An empty folder for datasets and truths.")] = None,
) -> None:
    chosen = codes.split(",") if codes else list(FAULTS)
    if unknown := sorted(set(chosen) - set(FAULTS)):
        raise typer.BadParameter(f"no fault {unknown[0]!r}; known: {', '.join(FAULTS)}")
    os.environ.setdefault("GRIPLINE_WORKERS", str(PROCESSES))
    params = load_params(PARAMS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        source = recordings or record(params, folder / "raw", seed)
        setting = Setting(source, folder, params, seed, episodes, keep=keep is not None)
        with timed("ingest clean"):
            ingest_clean(setting)
        with timed("measure clean"):
            table = measure_clean(setting)
        with timed("judge clean"):
            clean = judged(table, setting.body, setting.fps, params.checks)
        tasks = [Task(code, strength) for code in chosen for strength in range(len(STRENGTHS))]
        with timed("all faults"):
            done = spread(Bench.run, tasks, partial(bench, setting), processes=PROCESSES, name="a process")
            found = {
                result.task: result
                for result in tqdm(done, total=len(tasks), desc="checks", unit="dataset", disable=None)
            }
    results = [found[task] for task in tasks]
    for line in lines(results, clean):
        print(line)
    costs = {**seconds, **{f"{name}, all processes": cost for name, cost in costs_of(results).items()}}
    print("seconds: " + ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items()))
    if json:
        write_json(json, as_json(results, clean, costs))


def record(params: Params, folder: Path, seed: int) -> Path:
    """A recording of that seed without a planted fault."""
    changes = {"seed": seed, "episodes_per_task": EPISODES_PER_TASK, "planted_faults": 0}
    raw = params.raw.model_copy(update=changes)
    with timed("record"):
        record_files(plan_recording(raw), folder, raw)
    return folder


def costs_of(results: Sequence[Result]) -> Counter[str]:
    """Seconds by phase, added up over the processes."""
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.seconds)
    return total


if __name__ == "__main__":
    typer.run(main)
