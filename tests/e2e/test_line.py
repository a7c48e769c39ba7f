"""The whole line with the real servers: killed at its worst moments, finished, traced, drilled.

The tests of this file share one workspace and run in their order; each leaves it as the next one needs it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from line import Line, make_workspace, stage_runs

from components.core.files import read_json, sha256_file
from components.core.records import read_record
from components.core.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.kill, pytest.mark.serving, pytest.mark.sim, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def line(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = Line(make_workspace(project, tmp_path_factory.mktemp("line") / "workspace"), project)
    yield made
    made.start("serve", "--stop").communicate(timeout=120)


@dataclass
class Robot:
    """Asks the gateway for actions all the time, and counts what it is refused."""

    workspace: Workspace
    attempts: int = 0
    failures: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Robot:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        import numpy as np

        from components.core.params import load_params
        from deploy.client.client import PolicyClient, PolicyUnavailable
        from deploy.serving import Serving

        params = load_params(self.workspace.root / "params.yaml")
        serving = Serving.attach(self.workspace, params)
        images = {name: np.zeros((96, 96, 3), np.uint8) for name in ("fixed", "wrist")}
        client = PolicyClient(serving.url, params.serving.request_timeout_s)
        while not self._stop.is_set():
            client.begin_episode("open the faucet")
            for _ in range(3):
                self.attempts += 1
                try:
                    self.versions.add(client.act(images, np.zeros(4, np.float32)).version)
                except PolicyUnavailable as error:
                    self.failures.append(str(error))
            client.end_episode("invalid")
            time.sleep(0.1)


def test_ingest_killed_is_completed_by_the_next_run(line: Line) -> None:
    workspace = line.workspace
    line.kill_when(lambda: stage_runs(workspace, "components.ingest"), "run", "--no-rollout")
    assert not (workspace.data / "ingest.json").exists()


def test_train_killed_is_completed_by_the_next_run(line: Line) -> None:
    workspace = line.workspace
    line.kill_when(lambda: stage_runs(workspace, "components.train"), "run", "--no-rollout")
    assert (workspace.data / "ingest.json").is_file()
    assert not (workspace.train / "seed-1" / "record.json").exists()


def test_register_killed_is_completed_by_the_next_run(line: Line) -> None:
    workspace = line.workspace
    line.kill_when(lambda: _half_registered(workspace), "run")
    assert (workspace.gate / "verdict.json").is_file()


def _half_registered(workspace: Workspace) -> bool:
    """The bundle is kept already, and no version is on record yet."""
    records = workspace.state / "records"
    kept = any(not path.name.startswith(".") for path in records.glob("*")) if records.is_dir() else False
    return kept and not any(entry["event"] == "register" for entry in workspace.journal.read())


def test_a_rollout_killed_in_canary_goes_on_and_the_incumbent_serves_throughout(line: Line) -> None:
    workspace = line.workspace
    line.kill_when(lambda: _canary_answers(workspace, 4), "run")
    with Robot(workspace) as robot:
        summary = line.run("run")
    assert [entry["outcome"] for entry in summary["releases"]] == ["bootstrap", "promoted"]
    assert robot.failures == []
    assert robot.attempts > 30
    assert "1" in robot.versions
    numbers = summary["releases"][1]["numbers"]
    assert numbers["failed attempts"] == 0
    assert numbers["attempts"] > 50


def _canary_answers(workspace: Workspace, count: int) -> bool:
    lines = [line for path in workspace.rollouts.glob("*/episodes.jsonl") for line in path.read_text().splitlines()]
    ended = [line for line in lines if '"kind": "end"' in line or '"kind":"end"' in line]
    canary = any('"canary"' in line for line in lines)
    return canary and len(ended) >= count


def test_what_the_summary_says_is_so(line: Line) -> None:
    summary = line.run("run")
    assert set(summary["stages"].values()) == {"unchanged"}
    planted = {entry["source"] for entry in read_json(line.workspace.planted)}
    aside = {entry["source"] for entry in summary["ingest"]["quarantined"]}
    aside |= {entry["source_uri"] for entry in summary["checks"]["failed"]}
    assert planted <= aside
    assert summary["checks"]["accepted"] == 24
    champion = [entry for entry in summary["releases"] if "champion" in entry["aliases"]]
    assert [entry["version"] for entry in champion] == ["2"]
    assert (line.workspace.reports / "index.html").is_file()
    assert Path(champion[0]["report"]).is_file()


def test_every_sampled_action_traces_to_its_episodes_and_each_episode_to_the_robots(line: Line) -> None:
    import pyarrow.parquet as pq

    workspace = line.workspace
    taught = pq.read_table(workspace.train / "seed-2" / "episodes.parquet").to_pydict()
    actions = [
        json.loads(text)
        for path in sorted((workspace.state / "actions").glob("*.jsonl"))
        for text in path.read_text().splitlines()
    ]
    for action in actions[:: max(1, len(actions) // 3)]:
        found = line.run("trace", action["action_id"])
        ids = {node["id"] for node in found["nodes"]}
        assert {f"episode:{key}" for key in taught["episode_id"]} <= ids
        assert {f"source:{uri}" for uri in taught["source_uri"]} <= ids
        assert f"bundle:{action['bundle_digest']}" in ids

    down = {node["id"] for node in line.run("impact", taught["episode_id"][0])["nodes"]}
    assert {"version:1", "version:2"} <= down
    robots = {f"robot:{action['robot']}" for action in actions}
    assert robots == {name for name in down if name.startswith("robot:")}


def test_a_degraded_candidate_is_found_out_and_rolled_back(line: Line) -> None:
    entry = line.run("rollout", "drill", "--sigma", "1.5")
    assert entry["outcome"] == "rolled_back"
    assert entry["numbers"]["failed attempts"] == 0
    versions = {item["version"]: item["aliases"] for item in line.run("run")["releases"]}
    assert versions["2"] == ["champion"]


def test_dvc_agrees_that_nothing_is_left_to_do(line: Line) -> None:
    assert "up to date" in line.dvc("repro", "--dry")
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=line.workspace.root, capture_output=True, text=True, check=True
    )
    assert status.stdout.split() in (["??", "dvc.lock"], [])


def test_the_same_recordings_give_the_same_dataset_and_verdicts(line: Line) -> None:
    """Outputs deleted, DVC told to forget them; the recordings stay. Training has a test of its own for this."""
    workspace = line.workspace
    before = read_record(workspace.train / "seed-1", "checkpoint").inputs
    shutil.rmtree(workspace.dataset)
    shutil.rmtree(workspace.checks)
    line.dvc("repro", "--force", "--single-item", "ingest", "check")
    assert read_record(workspace.dataset / "meta" / "gripline", "dataset").digest == before["dataset"]
    assert sha256_file(workspace.checks / "verdicts.parquet") == before["verdicts"]
    assert "up to date" in line.dvc("repro", "--dry")
