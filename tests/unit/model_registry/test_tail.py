"""Trainings as files, logged into a real SQLite store."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import Busy
from components.core.files import append_line, read_json, write_bytes, write_json
from components.core.records import Record, write_record
from components.core.training_run import keep_speed, training_id, write_about
from components.core.workspace import Workspace
from model_registry.registry import Registry
from model_registry.tail import Tail, follow, one_tail
from model_registry.training_files import find_trainings
from model_registry.training_lines import MOST_METRICS, batches
from model_registry.training_link import training_run_of
from model_registry.training_runs import JOB, TRAINING, TRAINING_EXPERIMENT, flattened

# MLflow 3.17 on Python 3.11 leaves SQLite connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

INPUTS = {"dataset": "d" * 64, "verdicts": "e" * 64}
PARAMS = {"steps": 100, "loader": {"run_frames": 16}, "seeds": [1, 2], "where": ""}
ID = training_id(INPUTS, PARAMS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables, made once: that takes seconds."""
    made = Workspace(tmp_path_factory.mktemp("store"))
    Registry(made, "").ensure_store(TRAINING_EXPERIMENT)
    return made.state / "mlflow" / "mlflow.db"


@pytest.fixture
def training(workspace: Workspace, store: Path) -> Workspace:
    """A workspace in which one job has begun, in this very process."""
    write_bytes(workspace.state / "mlflow" / "mlflow.db", store.read_bytes())
    write_about(work(workspace), INPUTS, PARAMS)
    trained(workspace, 25, 50)
    return workspace


def work(workspace: Workspace) -> Path:
    return workspace.training / "key"


def trained(workspace: Workspace, *steps: int, job: str = "seed-1", loss: float = 0.5) -> None:
    for step in steps:
        line = {"step": step, "loss": loss, "learning_rate": 0.1, "grad_norm": 1.0}
        append_line(work(workspace) / job / "metrics.jsonl", json.dumps(line))


def validated(workspace: Workspace, step: int, val_loss: float) -> None:
    line = {"step": step, "loss": 0.7, "val_loss": val_loss}
    append_line(work(workspace) / "seed-1" / "metrics.jsonl", json.dumps(line))


def finish(workspace: Workspace, *names: str, checkpoint: str = "c") -> None:
    """As the stage ends: what the jobs left goes to data/train, and what it held before goes."""
    for name in names:
        target = workspace.train / name
        target.mkdir(parents=True)
        (work(workspace) / name / "metrics.jsonl").rename(target / "metrics.jsonl")
        write_record(target, Record("checkpoint", (checkpoint + name).ljust(64, "0"), INPUTS, PARAMS))
        write_json(target / "action_errors.json", {"step": 100})
    write_bytes(workspace.train / "curves.png", b"png")
    keep_speed(work(workspace), workspace.speed / ID)
    for path in sorted(work(workspace).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    work(workspace).rmdir()


@pytest.fixture
def runs(training: Workspace) -> Callable[[], dict]:
    """`runs()`: the runs by job; that of the stage has the name ""."""
    client = Registry(training, "").ensure_store(TRAINING_EXPERIMENT)
    experiment = client.get_experiment_by_name(TRAINING_EXPERIMENT)

    def found() -> dict:
        all_runs = client.search_runs([experiment.experiment_id])
        by_job = {run.data.tags[JOB]: run for run in all_runs}
        assert len(by_job) == len(all_runs), "two runs of one job"
        return by_job

    return found


@pytest.fixture
def history(training: Workspace, runs: Callable[[], dict]) -> Callable[..., list]:
    client = Registry(training, "").ensure_store()

    def of(key: str, job: str = "seed-1") -> list[tuple[int, float]]:
        metrics = client.get_metric_history(runs()[job].info.run_id, key)
        return sorted((metric.step, metric.value) for metric in metrics)

    return of


def test_a_run_for_the_stage_and_one_for_each_job(training, runs):
    trained(training, 25, job="blind")
    Tail(training).look()
    found = runs()
    assert set(found) == {"", "seed-1", "blind"}
    parent = found[""].info.run_id
    assert found["seed-1"].data.tags["mlflow.parentRunId"] == parent
    assert found["seed-1"].data.tags["gripline.dataset"] == INPUTS["dataset"]
    assert found["seed-1"].data.tags[TRAINING] == ID
    assert found["seed-1"].data.params == {"steps": "100", "loader.run_frames": "16", "seeds": "[1, 2]", "where": ""}
    assert {run.info.status for run in found.values()} == {"RUNNING"}


def test_metrics_grow_and_nothing_is_logged_twice(training, history):
    tail = Tail(training)
    tail.look()
    assert history("loss") == [(25, 0.5), (50, 0.5)]
    trained(training, 75)
    validated(training, 75, 0.25)
    tail.look()
    tail.look()
    # Another tail knows nothing but what MLflow holds.
    trained(training, 100)
    Tail(training).look()
    Tail(training).look()
    assert history("loss") == [(25, 0.5), (50, 0.5), (75, 0.5), (100, 0.5)]
    assert history("val_loss") == [(75, 0.25)]
    assert history("loss_between_validations") == [(75, 0.7)]


def test_a_training_that_goes_on_from_a_state_goes_on_in_its_run(training, history, runs):
    tail = Tail(training)
    tail.look()
    run_id = runs()["seed-1"].info.run_id
    metrics = work(training) / "seed-1" / "metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])  # cut to the state
    trained(training, 50, 75)
    for one in (tail, Tail(training)):
        one.look()
    assert history("loss") == [(25, 0.5), (50, 0.5), (75, 0.5)]
    assert runs()["seed-1"].info.run_id == run_id


def test_a_training_that_was_killed_says_so_until_it_goes_on(training, runs):
    about = read_json(work(training) / "about.json")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    write_json(work(training) / "about.json", {**about, "pid": gone.pid})
    Tail(training).look()
    assert runs()["seed-1"].info.status == "KILLED"
    write_json(work(training) / "about.json", {**about, "pid": os.getpid()})
    Tail(training).look()
    assert runs()["seed-1"].info.status == "RUNNING"


def test_a_training_that_runs_once_more_is_finished_again_when_it_ends(training, runs):
    finish(training, "seed-1")
    Tail(training).look()
    assert runs()["seed-1"].info.status == "FINISHED"
    write_about(work(training), INPUTS, PARAMS)
    trained(training, 25)
    Tail(training).look()
    assert runs()["seed-1"].info.status == "RUNNING"
    shutil.rmtree(training.train)
    finish(training, "seed-1")
    Tail(training).look()
    assert {run.info.status for run in runs().values()} == {"FINISHED"}


def test_nan_and_infinity_are_kept_as_what_they_are(training, history):
    trained(training, 75, loss=math.nan)
    validated(training, 75, math.inf)
    Tail(training).look()
    found = history("loss")
    assert found[-1][0] == 75
    assert math.isnan(found[-1][1])
    # MLflow's own stand-in in SQL.
    assert history("val_loss")[0][1] > 1e300


def test_speed_is_logged_at_its_time_and_a_last_line_that_is_half_written_waits(training, history, runs):
    line = {"step": 25, "at": 1700000000.5, "samples_per_s": 99.0, "data_share": 0.1, "mfu": 0.2}
    speed = work(training) / "seed-1" / "speed.jsonl"
    append_line(speed, json.dumps(line))
    with speed.open("a") as stream:
        stream.write('{"step": 50, "samp')
    Tail(training).look()
    assert history("samples_per_s") == [(25, 99.0)]
    (metric,) = Registry(training, "").ensure_store().get_metric_history(runs()["seed-1"].info.run_id, "mfu")
    assert metric.timestamp == 1700000000500


def test_pictures_are_artifacts_once_and_a_finished_job_has_its_digest(training, runs):
    client = Registry(training, "").ensure_store()
    write_bytes(work(training) / "seed-1" / "looks" / "predictions-000050.png", b"one")
    Tail(training).look()
    run_id = runs()["seed-1"].info.run_id
    assert [item.path for item in client.list_artifacts(run_id, "looks")] == ["looks/predictions-000050.png"]
    trained(training, 100)
    append_line(work(training) / "seed-1" / "speed.jsonl", json.dumps({"step": 100, "samples_per_s": 5.0, "at": 1.0}))
    finish(training, "seed-1")
    Tail(training).look()
    found = runs()
    assert found["seed-1"].info.run_id == run_id, "the finished training is the one that was followed"
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert found["seed-1"].data.tags["gripline.checkpoint"].startswith("cseed-1")
    assert found["seed-1"].data.metrics["samples_per_s"] == 5.0
    names = [item.path for item in client.list_artifacts(run_id)]
    assert names == ["action_errors.json", "looks", "record.json"]
    assert [item.path for item in client.list_artifacts(found[""].info.run_id)] == ["curves.png"]
    assert training_run_of(client, found["seed-1"].data.tags["gripline.checkpoint"]).info.run_id == run_id
    assert training_run_of(client, "f" * 64) is None
    assert read_json(training.training_run)["run"] == found[""].info.run_id


def test_a_training_that_nobody_followed_is_made_up_for(training, history):
    finish(training, "seed-1")
    Tail(training).look(again=True)
    assert history("loss") == [(25, 0.5), (50, 0.5)]


def test_another_checkpoint_of_the_same_training_is_another_run(training):
    finish(training, "seed-1")
    Tail(training).look()
    write_record(training.train / "seed-1", Record("checkpoint", "f" * 64, INPUTS, PARAMS))
    Tail(training).look()
    client = Registry(training, "").ensure_store()
    experiment = client.get_experiment_by_name(TRAINING_EXPERIMENT).experiment_id
    jobs = client.search_runs([experiment], filter_string=f"tags.`{JOB}` = 'seed-1'")
    assert sorted(run.data.tags["gripline.checkpoint"][0] for run in jobs) == ["c", "f"]


def test_mlflow_is_not_asked_about_what_was_logged_to_its_end(training, monkeypatch):
    finish(training, "seed-1")
    Tail(training).look()
    monkeypatch.setattr(Registry, "ensure_store", lambda *_: pytest.fail("asked"))
    assert [one.is_done for one in Tail(training).look()] == [True]


def test_a_store_that_fails_costs_one_warning(training, monkeypatch, caplog):
    monkeypatch.setattr(Registry, "ensure_store", lambda *_: (_ for _ in ()).throw(OSError("no store")))
    tail = Tail(training)
    with caplog.at_level(logging.WARNING, "model_registry"):
        tail.try_to_look()
        tail.try_to_look()
    assert caplog.text.count("MLflow does not hear of it: OSError: no store") == 1


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"inputs": {}, "params": {}, "pid": "x"}'])
def test_what_cannot_be_read_is_named_and_left_out(training, caplog, text):
    (work(training) / "about.json").write_text(text)
    with caplog.at_level(logging.WARNING, "model_registry"):
        assert find_trainings(training) == []
    assert "about.json cannot be read" in caplog.text


def test_metrics_that_cannot_be_read_are_named_and_the_others_logged(training, history, caplog):
    metrics = work(training) / "seed-1" / "metrics.jsonl"
    metrics.write_text("nonsense\n" + metrics.read_text())
    trained(training, 25, job="blind")
    Tail(training).look()
    assert history("loss", "blind") == [(25, 0.5)]
    assert history("loss") == []
    assert "metrics.jsonl cannot be read" in caplog.text


def test_two_tails_do_not_log_side_by_side(training):
    with one_tail(training), pytest.raises(Busy, match="another process logs the trainings"), one_tail(training):
        pass


def test_a_piece_holds_whole_lines_and_no_more_than_mlflow_takes():
    lines = [("training", {"step": step, "loss": 1.0, "learning_rate": 1.0}) for step in range(1200)]
    pieces = list(batches(lines))
    assert [line for piece in pieces for line in piece] == lines
    assert all(sum(len(line) for _, line in piece) <= MOST_METRICS for piece in pieces)
    assert len(pieces) == 4


def test_more_lines_than_one_call_takes_all_arrive(training, history):
    path = work(training) / "long" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps({"step": n, "loss": 1.0, "grad_norm": 2.0}) + "\n" for n in range(1, 1201)))
    Tail(training).look()
    assert [step for step, _ in history("loss", "long")] == list(range(1, 1201))


def test_params_are_flat_text():
    assert dict(flattened({"a": {"b": {"c": None}}, "d": {}, "e": True})) == {"a.b.c": "null", "d": "{}", "e": "true"}


def test_following_ends_with_a_last_look(training, history):
    answers = iter([False, True, True])
    follow(Tail(training), lambda: next(answers, True), poll_s=0.0)
    assert len(history("loss")) == 2


@pytest.mark.kill
def test_a_tail_that_is_killed_is_gone_on_from(training, history, project):
    """Lines come while it runs; it is killed, more come, and the next one logs only those."""

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", "model_registry.tail", str(training.root)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(project)})

    with start() as first:
        _wait(lambda: _logged(history) == 2)
        trained(training, 75)
        _wait(lambda: _logged(history) == 3)
        first.kill()
    trained(training, 100)
    with start() as second:
        _wait(lambda: _logged(history) == 4)
        trained(training, 125)
        second.communicate(timeout=120)  # its stdin closes: a last look
        assert second.returncode == 0
    assert [step for step, _ in history("loss")] == [25, 50, 75, 100, 125]


def _logged(history: Callable[..., list]) -> int:
    try:
        return len(history("loss"))
    except KeyError:
        return 0


def _wait(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)
