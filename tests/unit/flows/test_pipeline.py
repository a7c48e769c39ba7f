from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from components.core.errors import Busy, StageFailed, UsageError
from components.core.workspace import Workspace
from flows.pipeline import STAGES, changed_stages, clear_dead_locks, one_writer, reproduce

# DVC and its SQLite-backed state leave closing to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def run_all(workspace: Workspace) -> list[str]:
    return [reproduce(workspace, name) for name in STAGES]


def test_a_second_run_does_nothing_and_a_parameter_reruns_what_follows(small: Workspace) -> None:
    assert changed_stages(small) == list(STAGES)
    assert run_all(small) == ["ran"] * len(STAGES)
    assert changed_stages(small) == []
    assert run_all(small) == ["unchanged"] * len(STAGES)

    (small.root / "params.yaml").write_text("train: {steps: 2}\n")
    assert changed_stages(small) == ["train", "export", "evaluate", "gate"]
    assert run_all(small)[:5] == ["unchanged"] * 4 + ["ran"]


def test_a_failed_stage_is_named_and_its_exit_code_kept(small: Workspace) -> None:
    dvc = yaml.safe_load((small.root / "dvc.yaml").read_text())
    dvc["stages"]["ingest"]["cmd"] = "python -c 'raise SystemExit(3)'"
    (small.root / "dvc.yaml").write_text(yaml.safe_dump(dvc))
    reproduce(small, "raw")
    with pytest.raises(StageFailed, match=r"stage 'ingest' failed: .* exited with 3") as caught:
        reproduce(small, "ingest")
    assert caught.value.exit_code == 3
    assert changed_stages(small)[0] == "ingest"


def test_only_one_writer_holds_a_workspace(small: Workspace) -> None:
    code = (
        "import sys, pathlib; from components.core.workspace import Workspace; from flows.pipeline import one_writer\n"
    )
    code += "with one_writer(Workspace(pathlib.Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(small.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=f"in use by process {holder.pid}"), one_writer(small):
            pass
        holder.kill()
        holder.communicate()
    with one_writer(small):
        assert (small.state / "pipeline.lock").read_text() == str(os.getpid())


def test_locks_of_the_dead_are_forgotten_and_those_of_the_living_kept(small: Workspace) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    path = small.root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(exist_ok=True)
    me = {"pid": os.getpid(), "cmd": "pytest"}
    gone = {"pid": dead.pid, "cmd": "dvc repro"}
    path.write_text(json.dumps({"/a": {"write": gone}, "/b": {"write": me}, "/c": {"read": [me, gone]}}))
    clear_dead_locks(small)
    assert json.loads(path.read_text()) == {"/b": {"write": me}, "/c": {"read": [me]}}


def test_outside_dvc_that_is_said(tmp_path) -> None:
    with pytest.raises(UsageError, match="not a DVC workspace"):
        changed_stages(Workspace(tmp_path))
