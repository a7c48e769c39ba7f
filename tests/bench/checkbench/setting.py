"""What a run of the benchmark is about: its settings, its tasks, what came of each; and the clean dataset."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from checkbench.api import measured
from checkbench.faults import STRENGTHS
from components.core.embodiment_files import embodiment
from components.core.params import Params
from components.core.spec import Embodiment
from components.ingest.ingest import ingest
from components.ingest.settings import dataset_fps

CLEAN, CLEAN_TABLE = "clean", "clean.parquet"


@dataclass(frozen=True)
class Setting:
    """`episodes`: with a fault, of each code and strength; `keep`: whether datasets stay in `folder` afterwards."""

    recordings: Path
    folder: Path
    params: Params
    seed: int
    episodes: int
    keep: bool = False

    @property
    def body(self) -> Embodiment:
        return embodiment(self.params.ingest.embodiment)

    @property
    def fps(self) -> int:
        return dataset_fps(self.params.ingest, self.body)


@dataclass(frozen=True)
class Task:
    code: str
    strength: int

    @property
    def name(self) -> str:
        return f"{self.code}-{STRENGTHS[self.strength]}"


@dataclass(frozen=True)
class Outcome:
    """What became of one faulty episode, or of one task; `refused`: the code with which ingest set it aside."""

    source: str
    codes: tuple[str, ...]
    quarantined: bool
    refused: str = ""


@dataclass
class Result:
    """`found`: one of each thing that was to be flagged; `seconds`: by phase."""

    task: Task
    found: list[Outcome] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - begun


def ingest_clean(setting: Setting) -> None:
    ingest([setting.recordings], setting.folder / CLEAN, setting.params.ingest, setting.body)


def measure_clean(setting: Setting) -> pa.Table:
    table = measured(setting.folder / CLEAN, setting.params.checks)
    pq.write_table(table, setting.folder / CLEAN_TABLE)
    return table
