"""Runs that are killed again and again: what lies there always opens, and nothing that was read is read twice."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.core.params import Ingest
from components.dataset.reader import Dataset
from components.ingest import settings
from components.ingest.build import is_vacant
from components.ingest.report import IngestReport

Run = Callable[..., IngestReport]

# Kills itself before its n-th step towards the disk: a rename, or bytes made durable. Reads go into a journal.
CHILD = """
import os, pickle, signal, sys
raw, out, params, journal, nth = pickle.load(sys.stdin.buffer)
from pathlib import Path
from components.core.spec import SAWYER_CELL
from components.ingest import settings, work
from components.ingest.ingest import ingest
settings.code_digest = lambda: "the same"
steps = 0
def counted(function):
    def call(*arguments):
        global steps
        steps += 1
        if steps == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call
os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
read_part = work.read_part
def journaled(recording, part):
    with open(journal, "a") as stream:
        stream.write(recording.uri_of(part) + "\\n")
    return read_part(recording, part)
work.read_part = journaled
ingest([raw], out, params, SAWYER_CELL, processes=0)
print(steps)
"""
PATIENCE = 8


class Killed:
    """Runs until one is let through, each killed at a later or earlier step than the one before."""

    def __init__(self, raw: Path, out: Path, params: Ingest, seed: int) -> None:
        self.journal = out.with_name("reads.txt")
        self.kills = 0
        self._job = raw, out, params, str(self.journal)
        self._out = out
        self._random = random.Random(seed)

    def steps(self) -> int:
        """Of a run that nobody disturbs."""
        return int(self._child(0).stdout)

    def until_done(self, steps: int, after_each: Callable[[], None]) -> None:
        for attempt in range(PATIENCE):
            nth = self._random.randint(1, steps) if attempt < PATIENCE - 1 else 0
            done = self._child(nth)
            if done.returncode == 0:
                return
            assert done.returncode == -signal.SIGKILL, done.stderr.decode()
            self.kills += 1
            after_each()

    def _child(self, nth: int) -> subprocess.CompletedProcess[bytes]:
        job: Any = pickle.dumps((*self._job, nth))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-c", CHILD], input=job, capture_output=True, timeout=120, check=False, env=environment
        )

    def reads(self) -> Counter[str]:
        return Counter(self.journal.read_text().splitlines())


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of the source while the test runs would be a reason to begin afresh."""
    monkeypatch.setattr(settings, "code_digest", lambda: "the same")


@pytest.fixture
def many(recordings: ModuleType, tmp_path: Path) -> Path:
    """Forty short episodes of two files: commits at 16, 32 and 40."""
    for name, seeds in (("a", range(25)), ("b", range(25, 40))):
        recordings.write_hdf5(tmp_path / f"raw/{name}.hdf5", [recordings.make_demo(n, steps=3) for n in seeds])
    return tmp_path / "raw"


@pytest.mark.kill
@pytest.mark.parametrize("seed", [1, 2])
def test_a_first_build(run: Run, many: Path, tmp_path: Path, params: Ingest, seed: int) -> None:
    undisturbed = Killed(many, tmp_path / "undisturbed/out", params, seed)
    (tmp_path / "undisturbed").mkdir()
    steps, out = undisturbed.steps(), tmp_path / "out"
    killed = Killed(many, out, params, seed)

    def opens() -> None:
        if not is_vacant(out):
            dataset = Dataset.open(out)
            dataset.verify()
            assert len(dataset) in (16, 32, 40)

    killed.until_done(steps, opens)
    assert killed.kills >= 1
    assert Dataset.open(out).digest == Dataset.open(tmp_path / "undisturbed/out").digest
    # Each kill costs the episode in hand at most.
    assert set(killed.reads()) == set(undisturbed.reads())
    assert killed.reads().total() <= 40 + killed.kills
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw", "reads.txt", "undisturbed"]


@pytest.mark.kill
@pytest.mark.parametrize("change", ["files", "settings"])
def test_a_change_of_what_is_there(
    run: Run, recordings: ModuleType, many: Path, tmp_path: Path, params: Ingest, change: str
) -> None:
    """Files go and come, one of them as the first double of an episode that is there; or all is built afresh."""
    out = tmp_path / "out"
    before = run(many, out)
    if change == "files":
        (many / "b.hdf5").unlink()
        recordings.write_mcap(many / "Early.mcap", recordings.make_demo(3, steps=3))
        recordings.write_hdf5(many / "c.hdf5", [recordings.make_demo(n, steps=3) for n in range(50, 60)])
    else:
        params = params.model_copy(update={"max_misalignment_ms": 24.0})
    expected = run(many, tmp_path / "fresh/out", max_misalignment_ms=params.max_misalignment_ms)
    sizes = {before.episodes_out, 25, expected.episodes_out}
    killed = Killed(many, out, params, seed=3)

    def opens() -> None:
        dataset = Dataset.open(out)
        dataset.verify()
        assert len(dataset) in sizes

    killed.until_done(steps=150, after_each=opens)
    assert killed.kills >= 1
    Dataset.open(out).verify()
    assert Dataset.open(out).digest == expected.dataset_digest
    unread = 11 if change == "files" else 40
    assert unread <= killed.reads().total() <= unread + killed.kills
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
