"""The stage `check` as a process, on a dataset with real video."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.checks.check import check_dataset
from components.core.files import sha256_file, tree_manifest
from components.core.params import load_params
from components.core.records import read_record
from components.core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = {
    "checks.json",
    "contact_sheet.png",
    "episodes_table.parquet",
    "measures.parquet",
    "profile.json",
    "record.json",
    "report.html",
    "validations",
    "verdicts.parquet",
}
GOOD = 66
# Enough good ones that what is usual is theirs; the rest are faults.
AMONG = 60


@pytest.fixture(scope="module")
def episodes() -> ModuleType:
    return helpers(UNIT / "checks/episodes.py")


def make_workspace(root: Path, episodes: ModuleType, samples: list[Any]) -> Workspace:
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    workspace = Workspace(root)
    workspace.data.mkdir()
    episodes.write_dataset(workspace.dataset, samples, load_params(root / "params.yaml").ingest.video)
    return workspace


def run(workspace: Workspace, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "components.checks"],
        cwd=workspace.root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def report(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace.checks / "checks.json").read_text())
    return found


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, episodes: ModuleType) -> tuple[Workspace, dict[str, str]]:
    """A workspace with good episodes, each fault once, and a copy; and episode id -> fault."""
    samples, faults = [episodes.good(seed) for seed in range(AMONG)], {}
    for code, ways in episodes.FAULTS.items():
        sample = ways[0](episodes.good(100 + len(faults)))
        faults[sample.row["episode_id"]] = code
        samples.append(sample)
    copied = samples[0]
    copy = {"episode_id": "c" * 64, "recorded_at": "2026-03-01T08:00:00Z"}
    faults[copy["episode_id"]] = "duplicate_episode"
    samples.append(replace(copied, row=copied.row | copy))
    return make_workspace(tmp_path_factory.mktemp("faulty"), episodes, samples), faults


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, episodes: ModuleType) -> Workspace:
    """A workspace whose dataset passes although two episodes do not; large enough for several processes."""
    samples = [episodes.good(seed) for seed in range(GOOD)]
    samples += [episodes.FAULTS[code][0](episodes.good(300 + n)) for n, code in enumerate(("nan", "clock_jitter"))]
    return make_workspace(tmp_path_factory.mktemp("sound"), episodes, samples)


def test_each_fault_is_found_behind_real_video_and_the_dataset_refused(
    faulty: tuple[Workspace, dict[str, str]],
) -> None:
    workspace, faults = faulty
    done = run(workspace)
    assert done.returncode == 1, done.stderr
    assert "error [gate_refused]" in done.stderr
    assert "max_quarantined_share is 0." in done.stderr
    assert "min_episodes_per_task" not in done.stderr
    assert {path.name for path in workspace.checks.iterdir()} == OUTPUTS
    assert (workspace.check_docs / "index.html").is_file()
    rows = pq.read_table(workspace.checks / "verdicts.parquet").to_pylist()
    found = {row["episode_id"]: set(row["codes"]) for row in rows if row["codes"]}
    assert set(found) == set(faults)
    assert {code for episode, code in faults.items() if code not in found[episode]} == set()
    warned = load_params(workspace.root / "params.yaml").checks.warn
    accepted = {row["episode_id"] for row in rows if row["verdict"] == "accepted"}
    assert accepted & set(faults) == {episode for episode in faults if found[episode] <= set(warned)}
    assert report(workspace)["passed"] is False


def test_two_runs_in_different_surroundings_give_the_same_bytes_and_nothing_else(sound: Workspace) -> None:
    first = run(sound, TZ="Asia/Tokyo", PYTHONHASHSEED="1", GRIPLINE_WORKERS="1")
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    made = {folder.name: tree_manifest(folder) for folder in (sound.checks, sound.check_docs)}
    second = run(sound, TZ="America/New_York", PYTHONHASHSEED="2", GRIPLINE_WORKERS="2")
    assert (second.returncode, second.stdout) == (0, ""), second.stderr
    assert {folder.name: tree_manifest(folder) for folder in (sound.checks, sound.check_docs)} == made
    assert {name.partition("/")[0] for name in made["checks"]} == OUTPUTS
    assert {path.name for path in sound.root.iterdir()} == {"params.yaml", "data", ".gripline"}
    assert {path.name for path in sound.data.iterdir()} == {"dataset", "checks", "check_docs"}
    assert f"accepted {GOOD + 1} of {GOOD + 2} episodes" in second.stderr


def test_outputs_name_their_inputs_and_hold_no_path_of_the_machine(sound: Workspace) -> None:
    record, found = read_record(sound.checks, "checks"), report(sound)
    assert record.inputs == {"dataset": read_record(sound.dataset / "meta/gripline").digest}
    assert record.digest == sha256_file(sound.checks / "verdicts.parquet")
    assert record.counts == {"episodes": GOOD + 2, "accepted": GOOD + 1, "quarantined": 1}
    assert (found["dataset_digest"], found["suite_digest"]) == (record.inputs["dataset"], record.attrs["suite_digest"])
    assert [entry["codes"] for entry in found["failed"]] == [["nan"]]
    assert [entry["codes"] for entry in found["warned"]] == [["clock_jitter"]]
    texts = [path.read_bytes() for folder in (sound.checks, sound.check_docs) for path in folder.rglob("*.*")
             if path.is_file()]  # fmt: skip
    assert not any(str(sound.root).encode() in text for text in texts)


def test_each_run_is_written_into_the_journal(sound: Workspace) -> None:
    events = [line for line in sound.journal.read() if line["event"] == "checked"]
    assert events
    assert events[-1]["quarantined"] == 1
    assert events[-1]["passed"] is True
    assert events[-1]["dataset"] == report(sound)["dataset_digest"]


def test_a_dataset_elsewhere_can_be_judged_by_other_limits(sound: Workspace, tmp_path: Path) -> None:
    params = load_params(sound.root / "params.yaml").checks.model_copy(update={"min_frames": 1000})
    check_dataset(sound.dataset, tmp_path / "out", tmp_path / "docs", params)
    # What it wrote itself it may replace.
    found = check_dataset(sound.dataset, tmp_path / "out", tmp_path / "docs", params)
    assert {"passed", "episodes", "failed", "warned", "docs"} <= set(found)
    assert found["passed"] is False
    assert len(found["failed"]) == found["episodes"] == GOOD + 2
    assert Path(found["docs"]).is_file()
    assert found["verdicts"] == str(tmp_path / "out/verdicts.parquet")
    assert {path.name for path in (tmp_path / "out").iterdir()} == OUTPUTS


@pytest.mark.parametrize(("change", "status"), [("params", 2), ("dataset", 3)])
def test_what_cannot_be_judged_leaves_the_last_verdicts_alone(
    sound: Workspace, tmp_path: Path, change: str, status: int
) -> None:
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(sound.root, copy.root)
    before = tree_manifest(copy.checks) | tree_manifest(copy.check_docs)
    if change == "params":
        path = copy.root / "params.yaml"
        path.write_text(path.read_text().replace("warn: [clock_jitter", "warn: [clock_jitters"))
    else:
        next(copy.dataset.glob("data/*/*.parquet")).write_bytes(b"PAR1 is not all")
    done = run(copy)
    assert done.returncode == status, done.stderr
    assert "clock_jitters" in done.stderr if change == "params" else "unreadable" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree_manifest(copy.checks) | tree_manifest(copy.check_docs) == before
    assert {path.name for path in copy.data.iterdir()} == {"dataset", "checks", "check_docs"}
