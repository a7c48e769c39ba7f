"""A real training with the tail beside it: its run in MLflow grows while it trains, and is complete in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from train_world import write_dataset, write_verdicts

from components.core.files import read_json, read_lines
from components.core.workspace import Workspace
from flows.tracking import tracked
from model_registry.registry import Registry
from model_registry.training_runs import CHECKPOINT, JOB, TRAINING_EXPERIMENT

# MLflow 3.17 on Python 3.11 leaves SQLite connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

STEPS = 400
CHANGES = {
    "steps": STEPS, "blind_steps": 25, "wordless_steps": 0, "seeds": [1],
    "batch_size": 4, "warmup_steps": 1, "chunk": 4,
    "checkpoints": {"every": 100}, "loader": {"run_frames": 4, "pool_windows": 16},
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, project: Path) -> Workspace:
    found = Workspace(tmp_path)
    write_dataset(found.dataset)
    write_verdicts(found)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"] |= CHANGES
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return found


def test_metrics_grow_while_it_trains_and_pictures_come_with_them(workspace: Workspace, project: Path) -> None:
    client = Registry(workspace, "").ensure_store(TRAINING_EXPERIMENT)
    experiment = client.get_experiment_by_name(TRAINING_EXPERIMENT).experiment_id

    def run_of(job: str):  # type: ignore[no-untyped-def]
        found = client.search_runs([experiment], filter_string=f"tags.`{JOB}` = '{job}'")
        assert len(found) <= 1
        return found[0] if found else None

    def logged(key: str, job: str = "seed-1") -> list[int]:
        run = run_of(job)
        return sorted(one.step for one in client.get_metric_history(run.info.run_id, key)) if run else []

    environment = {**os.environ, "GRIPLINE_WORKERS": "1", "GRIPLINE_PEAK_TFLOPS": "0.1", "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "components.train"]
    with tracked(workspace), subprocess.Popen(command, cwd=workspace.root, env=environment) as training:
        _wait(lambda: len(logged("loss")) > 0, training)
        first = logged("loss")
        assert run_of("seed-1").info.status == "RUNNING"
        _wait(lambda: len(logged("loss")) > len(first), training)
        assert training.poll() is None, "both were read while it trained"
        assert logged("loss")[: len(first)] == first
        assert training.wait(300) == 0
    assert logged("loss") == list(range(25, STEPS + 1, 25))
    assert logged("val_action_error") == [100, 200, 300, 400]
    assert logged("samples_per_s") == logged("loss")
    metrics = read_json(workspace.train / "metrics.json")
    run = run_of("seed-1")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val_loss"] == pytest.approx(metrics["seed-1"]["val_loss"])
    assert run.data.tags[CHECKPOINT] == read_json(workspace.train / "seed-1" / "record.json")["digest"]
    looks = [item.path for item in client.list_artifacts(run.info.run_id, "looks")]
    assert looks == ["looks/action_errors.png", "looks/predictions-000200.png", "looks/predictions-000400.png"]
    assert logged("val_loss", "untrained") == [0]
    _assert_nothing_of_time_in_the_outputs(workspace)


def _assert_nothing_of_time_in_the_outputs(workspace: Workspace) -> None:
    assert not list(workspace.train.rglob("speed.jsonl"))
    (speed,) = workspace.speed.glob("*/seed-1/speed.jsonl")
    assert [line["step"] for line in read_lines(speed)] == list(range(25, STEPS + 1, 25))
    trained = {line["name"]: line for line in workspace.journal.read() if line["event"] == "trained"}
    assert trained["seed-1"]["batch_flops"] > 0
    assert trained["seed-1"]["mfu"] > 0


def _wait(condition: Callable[[], bool], training: subprocess.Popen, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert training.poll() is None, "the training ended before"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)
