"""A training that is killed wherever it may be, and run again, gives what an uninterrupted one gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from train_world import write_dataset, write_verdicts

from components.core.errors import Busy
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import load_params
from components.core.workspace import Workspace
from components.train import work
from components.train.inputs import load_inputs
from components.train.work import run_key, work_folder

STEPS, EVERY = 11, 3
# All that has a memory between steps.
CHANGES = {
    "steps": STEPS,
    "blind_steps": 4,
    "wordless_steps": 3,
    "batch_size": 8,
    "warmup_steps": 1,
    "seeds": [1, 2],
    "chunk": 4,
    "ema_decay": 0.8,
    "accumulate": 2,
    "checkpoints": {"every": EVERY, "keep_best": 2, "use": "last"},
    "loader": {"run_frames": 4, "pool_windows": 16, "lanes": 2},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained-on") / "dataset"
    write_dataset(root)
    return root


def make_workspace(root: Path, dataset: Path, project: Path) -> Workspace:
    found = Workspace(root)
    found.data.mkdir(parents=True)
    found.dataset.symlink_to(dataset)
    write_verdicts(found, refused=(4,))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"] |= CHANGES
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return found


def train(workspace: Workspace, project: Path, where: str, count: int) -> subprocess.CompletedProcess[str]:
    paths = f"{project}{os.pathsep}{project / 'tests' / 'support'}"
    environment = {**os.environ, "GRIPLINE_WORKERS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "dying_training", where, str(count)]
    return subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, dataset: Path, project: Path) -> dict[str, str]:
    """Digests of the output of a run that nothing happened to."""
    workspace = make_workspace(tmp_path_factory.mktemp("whole"), dataset, project)
    done = train(workspace, project, "never", 0)
    assert done.returncode == 0, done.stderr
    return tree_manifest(workspace.train)


def _some_points() -> list[tuple[tuple[str, int], ...]]:
    """Drawn once: within each of the first two jobs, and again in the run that goes on."""
    a_job = 2 * STEPS
    first, again, second = np.random.default_rng(20).integers([1, 1, a_job], [a_job, a_job // 2, 2 * a_job]).tolist()
    return [(("step", first), ("step", again)), (("state", 2), ("step", second)), (("best", 3), ("collect", 2))]


@pytest.mark.kill
@pytest.mark.parametrize("points", _some_points(), ids=str)
def test_a_run_that_was_killed_ends_with_the_same_bytes(tmp_path, dataset, project, whole, points):
    workspace = make_workspace(tmp_path, dataset, project)
    for where, count in points:
        died = train(workspace, project, where, count)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not workspace.train.exists()
        running = read_json(workspace.training / "running.json")
        assert running["jobs"] == ["seed-1", "seed-2", "wordless", "blind", "untrained"]
        for states in workspace.training.glob(f"{running['folder']}/*/states"):
            assert len([path for path in states.iterdir() if path.name.startswith("step-")]) <= 3
    done = train(workspace, project, "never", 0)
    assert done.returncode == 0, done.stderr
    assert tree_manifest(workspace.train) == whole
    assert sorted(path.name for path in workspace.training.iterdir()) == [".lock"]
    assert not list(workspace.data.glob(".train*"))
    if ("collect", 2) in points:
        assert done.stderr.count("was trained by an earlier run") == 5
        assert "step 0" not in done.stderr
    else:
        assert "goes on after step" in done.stderr


def test_what_a_result_follows_from_decides_where_a_run_goes_on(tmp_path, dataset, project, monkeypatch):
    workspace = make_workspace(tmp_path, dataset, project)
    params = load_params(workspace.root / "params.yaml")
    inputs = load_inputs(workspace, params)
    key = run_key(inputs, params.train)
    assert run_key(load_inputs(workspace, params), params.train) == key
    assert run_key(inputs, params.train.model_copy(update={"learning_rate": 0.5})) != key
    monkeypatch.setattr(work, "code_digest", lambda: "other code")
    assert run_key(inputs, params.train) != key


def test_one_run_at_a_time_and_no_rubbish_that_grows(tmp_path):
    workspace = Workspace(tmp_path)

    def begin(key: str) -> None:
        with work_folder(workspace, key, []) as folder:
            write_json(folder / "seed-1.json", {})
            with pytest.raises(Busy, match="another process is training"), work_folder(workspace, "other", []):
                pass
            raise RuntimeError("killed")

    for number in range(4):
        with pytest.raises(RuntimeError, match="killed"):
            begin(f"key-{number}")
    assert sorted(path.name for path in workspace.training.glob("key-*")) == ["key-2", "key-3"]
    with work_folder(workspace, "key-2", []) as folder:
        assert (folder / "seed-1.json").is_file()
    assert sorted(path.name for path in workspace.training.iterdir()) == [".lock", "key-3"]
