"""Jobs over two processes: started from outside, and by the stage itself."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from train_world import write_dataset, write_verdicts

from components.core.errors import StageFailed
from components.core.files import read_json, tree_manifest
from components.core.params import load_params
from components.core.workspace import Workspace
from components.policy.checkpoint import checkpoint_digest, load_policy
from components.train.jobs import plan_jobs
from components.train.placement import placement_of
from components.train.ranks import launch
from components.train.stage import run
from components.train.together import train_in_turn

SMALL = {
    "steps": 5,
    "blind_steps": 3,
    "wordless_steps": 0,
    "batch_size": 8,
    "warmup_steps": 1,
    "seeds": [1],
    "chunk": 4,
    "checkpoints": {"every": 2, "keep_best": 1, "use": "last"},
    "loader": {"run_frames": 4, "pool_windows": 16, "lanes": 2},
}
TWO = {"accelerator": "cpu", "devices": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained-on") / "dataset"
    write_dataset(root)
    return root


@pytest.fixture
def workspace_of(tmp_path, dataset, project):
    def make(name: str, **strategy: object) -> Workspace:
        found = Workspace(tmp_path / name)
        found.data.mkdir(parents=True)
        found.dataset.symlink_to(dataset)
        write_verdicts(found, refused=(4,))
        params = yaml.safe_load((project / "params.yaml").read_text())
        params["train"] |= SMALL | ({"strategy": strategy} if strategy else {})
        (found.root / "params.yaml").write_text(yaml.safe_dump(params))
        return found

    return make


def rows(workspace: Workspace) -> list[dict[str, str]]:
    with (workspace.train / "loss.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_two_processes_give_the_losses_of_one(workspace_of, project):
    alone = workspace_of("alone")
    run(alone, load_params(alone.root / "params.yaml"))
    shared = workspace_of("shared", kind="ddp", **TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "components.train"],
        cwd=shared.root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert [(row["name"], row["step"]) for row in rows(shared)] == [(row["name"], row["step"]) for row in rows(alone)]
    for one, two in zip(rows(alone), rows(shared), strict=True):
        for name in ("loss", "val_loss", "val_action_error"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-5)
    assert set(tree_manifest(shared.train)) == set(tree_manifest(alone.train)), "only one process writes"
    load_policy(shared.train / "seed-1")
    assert len([line for line in shared.journal.read() if line["event"] == "trained"]) == 3


def test_the_stage_starts_the_processes_and_shards_the_policy(workspace_of, project, monkeypatch, tmp_path):
    workspace = workspace_of("sharded", kind="fsdp", **TWO)
    params = load_params(workspace.root / "params.yaml").train
    monkeypatch.chdir(workspace.root)
    monkeypatch.setenv("PYTHONPATH", str(project))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = tmp_path / "work"
    work.mkdir()
    (one,) = train_in_turn(plan_jobs(params)[:1], params, work)
    assert one.digest == checkpoint_digest(work / "seed-1")
    assert read_json(work / "seed-1" / "record.json")["digest"] == one.digest
    assert [row["step"] for row in one.validations] == [2, 4, 5]
    load_policy(work / "seed-1")
    with pytest.raises(StageFailed, match=r"of job no-such-job ended with exit code 1.*run again"):
        launch("no-such-job", work, placement_of(params))
