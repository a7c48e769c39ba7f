from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from components.core.errors import BundleError, RecordError
from components.core.files import read_json, read_lines, sha256_file, tree_manifest
from components.core.records import read_record
from components.core.workspace import Workspace
from components.evaluate.stage import run, trained_tasks

TASK = "button-press-topdown"


@pytest.mark.sim
def test_every_bundle_is_tried_and_a_second_run_writes_the_same_bytes(make_bundle, params, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    workspace = Workspace(tmp_path)
    few = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"rollouts_per_task": 3})})
    press = make_bundle(workspace.bundles / "seed-1", "press", tasks={TASK: 5, "fold-laundry": 2})
    make_bundle(workspace.bundles / "untrained", "stand", tasks={TASK: 5})
    run(workspace, few)
    report = read_json(workspace.evaluation / "report.json")["policies"]
    assert report["seed-1"]["bundle"] == sha256_file(press / "manifest.json")
    assert list(report["seed-1"]["tasks"]) == [TASK], "what the cell does not know is not tried"
    assert [report[name]["tasks"][TASK]["n"] for name in ("seed-1", "untrained")] == [3, 2]
    assert [report[name]["tasks"][TASK]["successes"] for name in ("seed-1", "untrained")] == [1, 0]
    assert report["seed-1"]["mean"] == pytest.approx(1 / 3)
    lines = read_lines(workspace.evaluation / "rollouts.jsonl")
    assert [(line["policy"], line["seed"], line["success"]) for line in lines[:3]] == [
        ("seed-1", 100_000, False),
        ("seed-1", 100_001, False),
        ("seed-1", 100_002, True),
    ]
    with (workspace.evaluation / "success.csv").open() as stream:
        assert [row["policy"] for row in csv.DictReader(stream)] == ["seed-1", "untrained"]
    record = read_record(workspace.evaluation, "evaluation")
    assert record.inputs == {name: entry["bundle"] for name, entry in report.items()}
    assert record.counts == {"rollouts": 5, "successes": 1}
    before = tree_manifest(workspace.evaluation)
    run(workspace, few)
    assert tree_manifest(workspace.evaluation) == before
    assert [line["event"] for line in workspace.journal.read()] == ["evaluated", "evaluated"]


@pytest.mark.sim
def test_a_bundle_of_another_robot_is_left_out_and_said_so(make_bundle, params, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    workspace = Workspace(tmp_path)
    few = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"rollouts_per_task": 1})})
    make_bundle(workspace.bundles / "seed-1", "press", tasks={TASK: 5})
    other = make_bundle(workspace.bundles / "seed-1@arm", "press", tasks={TASK: 5}, robot="arm")
    run(workspace, few)
    report = read_json(workspace.evaluation / "report.json")
    assert list(report["policies"]) == ["seed-1"]
    reason = "not evaluated: there is no simulated cell of arm"
    assert report["not_evaluated"] == {"seed-1@arm": {"bundle": sha256_file(other / "manifest.json"), "reason": reason}}


def test_bundles_of_other_robots_alone_are_refused(make_bundle, params, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    workspace = Workspace(tmp_path)
    make_bundle(workspace.bundles / "seed-1", "press", tasks={TASK: 5}, robot="arm")
    with pytest.raises(BundleError, match="name is 'arm', expected 'sawyer-cell'"):
        run(workspace, params)


def test_without_bundles_there_is_nothing_to_evaluate(params, tmp_path):
    with pytest.raises(RecordError, match="no bundle"):
        run(Workspace(tmp_path), params)


def test_one_damaged_bundle_stops_the_stage_before_any_rollout(make_bundle, params, tmp_path):
    workspace = Workspace(tmp_path)
    make_bundle(workspace.bundles / "seed-1", "press", tasks={TASK: 5})
    damaged = make_bundle(workspace.bundles / "seed-2", "press", tasks={TASK: 5})
    (damaged / "card.md").write_text("better than it is\n")
    with pytest.raises(BundleError, match=r"card\.md"):
        run(workspace, params)
    assert not workspace.evaluation.exists()


def test_a_bundle_of_tasks_that_the_cell_does_not_know_is_refused(make_bundle, tmp_path):
    folder = make_bundle(tmp_path / "seed-1", "press", tasks={"fold-laundry": 3})
    with pytest.raises(BundleError, match="trained on fold-laundry"):
        trained_tasks(folder)


def test_loads_no_torch(project):
    modules = "components.evaluate.__main__, components.evaluate.gate"
    code = f"import sys, {modules}; print(sorted({{'torch', 'pandas', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
