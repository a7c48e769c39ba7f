"""The ingest stage as a process: exit codes, what lies on disk afterwards, and what a SIGKILL leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.core.files import tree_manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recordings() -> ModuleType:
    return helpers(UNIT / "formats/recordings.py")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path


# A team's own mapping; what it says of the site is said by no recording.
NORTH = """
match: site-north/*
format: [mcap]
instruction: /instruction
constants: {site: hall-7}
streams:
  fixed: {from: /camera/fixed/compressed, kind: image}
  wrist: {from: /camera/wrist/compressed, kind: image}
  hand: {from: /hand_pose, kind: state, select: [pose.position.x, pose.position.y, pose.position.z]}
  gripper: {from: /gripper, kind: state, select: [position]}
  joints: {from: /joint_states, kind: state, select: [position]}
  action: {from: /action, kind: action, select: [position], names: [dx, dy, dz, effort]}
"""


def command(workspace: Path, workers: int = 2) -> subprocess.Popen[str]:
    environment = {**os.environ, "GRIPLINE_WORKERS": str(workers), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "components.ingest"],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def record_some(recordings: ModuleType, raw: Path, *, episodes: int, steps: int) -> None:
    demos = [recordings.make_demo(seed, steps=steps, site="") for seed in range(episodes)]
    recordings.write_hdf5(raw / "site-south/a.hdf5", demos[::2])
    for number, demo in enumerate(demos[1::2]):
        recordings.write_mcap(raw / f"site-north/{number}.mcap", demo)


def test_a_workspace_is_ingested(recordings: ModuleType, workspace: Path) -> None:
    raw = workspace / "data/raw"
    record_some(recordings, raw, episodes=4, steps=6)
    whole = (raw / "site-north/0.mcap").read_bytes()
    (raw / "site-north/cut.mcap").write_bytes(whole[:-100])
    code, out, err = finish(command(workspace))
    assert (code, out) == (0, ""), err
    metrics = json.loads((workspace / "data/ingest.json").read_text())
    assert (metrics["episodes_in"], metrics["episodes_out"], metrics["frames"]) == (5, 4, 24)
    assert metrics["quarantined"] == [
        {"source": "site-north/cut.mcap", "code": "truncated", "detail": metrics["quarantined"][0]["detail"]}
    ]
    record = json.loads((workspace / "data/dataset/meta/gripline/record.json").read_text())
    assert record["digest"] == metrics["dataset_digest"]
    (line,) = (workspace / ".gripline/journal/journal.jsonl").read_text().splitlines()
    assert json.loads(line)["dataset"] == metrics["dataset_digest"]


def test_an_empty_folder_ends_with_exit_code_3(workspace: Path) -> None:
    code, out, err = finish(command(workspace))
    assert (code, out) == (3, "")
    assert "error [input]" in err
    assert "no recording" in err
    assert sorted(path.name for path in (workspace / "data").iterdir()) == ["raw"]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _wait_until(what: str, ready: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.005)


@pytest.mark.kill
def test_a_killed_ingest_is_completed_by_the_next_one(
    recordings: ModuleType, workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record_some(recordings, workspace / "data/raw", episodes=8, steps=60)
    untouched = tmp_path_factory.mktemp("untouched")
    shutil.copytree(workspace, untouched, dirs_exist_ok=True)
    code, _, err = finish(command(untouched, workers=1))
    assert code == 0, err

    process = command(workspace)
    data = workspace / "data"
    _wait_until("reading", lambda: list(data.glob(".dataset.spool/*.episode")), 60)
    workers = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert workers
    assert not (data / "dataset/meta/info.json").exists()
    assert not (data / "ingest.json").exists()
    _wait_until("end of the workers", lambda: not any(map(_alive, workers)), 10)

    code, _, err = finish(command(workspace, workers=1))
    assert code == 0, err
    assert sorted(path.name for path in data.iterdir()) == ["dataset", "ingest.json", "raw"]
    assert tree_manifest(data / "dataset") == tree_manifest(untouched / "data/dataset")
    assert (data / "ingest.json").read_bytes() == (untouched / "data/ingest.json").read_bytes()


def test_a_second_run_reads_what_is_new_alone(recordings: ModuleType, workspace: Path) -> None:
    raw, dataset = workspace / "data/raw", workspace / "data/dataset"
    record_some(recordings, raw, episodes=3, steps=6)
    (workspace / "robots/maps").mkdir(parents=True)
    (workspace / "robots/maps/north.yaml").write_text(NORTH)
    assert finish(command(workspace))[0] == 0
    before = tree_manifest(dataset)
    assert finish(command(workspace))[0] == 0
    assert tree_manifest(dataset) == before
    recordings.write_mcap(raw / "site-north/new.mcap", recordings.make_demo(9, steps=6, site=""))
    (raw / "site-south/a.hdf5").unlink()
    assert finish(command(workspace))[0] == 0
    journal = [json.loads(line) for line in (workspace / ".gripline/journal/journal.jsonl").read_text().splitlines()]
    assert [(line["episodes"], line["added"]) for line in journal] == [(3, 3), (3, 0), (2, 1)]
    rows = pq.read_table(dataset / "meta/gripline/episodes.parquet").to_pylist()
    assert {(row["source_uri"], row["licence"]) for row in rows} == {
        ("site-north/0.mcap", "CC-BY-4.0"),
        ("site-north/new.mcap", "CC-BY-4.0"),
    }
    assert {row["site"] for row in rows} == {"hall-7"}
