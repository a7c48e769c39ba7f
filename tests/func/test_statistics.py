"""`gripline dataset stats` from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beside import UNIT, helpers

_DATASET = helpers(UNIT / "dataset" / "conftest.py")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A workspace whose own dataset has four episodes."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copyfile(project / "params.yaml", root / "params.yaml")
    _DATASET.write_tree(root / "data" / "dataset", [_DATASET.make_episode(seed) for seed in range(4)])
    return root


def gripline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "dataset", "stats", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "GRIPLINE_AT"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    done = gripline(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["embodiments"]
    return dict(found)


def test_what_it_says_of_a_dataset_is_what_the_dataset_says(workspace: Path) -> None:
    found = answer(workspace, "data/dataset")
    own = json.loads((workspace / "data/dataset/meta/stats.json").read_text())
    assert (found["episodes"], found["stats"]) == (4, own)
    text = gripline(workspace, "data/dataset").stdout
    assert "sawyer-cell: 4 episodes" in text
    assert "hand_x" in text


def test_some_episodes_in_a_representation_by_way_of_the_cache(workspace: Path) -> None:
    options = ("data/dataset", "--where", "task = 'task-1'", "--representation", "chunk_relative", "--horizon", "3")
    found = answer(workspace, *options)
    assert found["episodes"] == 2
    assert found["actions"]["stats"]["count"] == [46, 44, 42]
    assert len(list((workspace / ".gripline/cache/statistics").iterdir())) == 1
    assert answer(workspace, *options) == found
    said = gripline(workspace, *options).stdout
    assert "sawyer-cell: actions as chunk_relative, 3 steps a chunk\n" in said
    assert [line.split()[1] for line in said.splitlines() if " dx " in line] == ["0", "1", "2", "all"]
    longer = gripline(workspace, *options[:-1], "9").stdout
    assert "shown are the steps 0, 4, 8 of 0 to 8; --json has each" in longer


def test_a_base_checkpoint_is_compared(workspace: Path, tmp_path: Path) -> None:
    found = answer(workspace, "data/dataset", "--base", "data/dataset")
    assert found["base"]["verdict"] == "fits"
    one = {"mean": [9.0] * 4, "std": [0.5] * 4, "q01": [8.0] * 4, "q99": [10.0] * 4}
    (tmp_path / "norm_stats.json").write_text(json.dumps({"norm_stats": {"state": one, "actions": one}}))
    done = gripline(workspace, "data/dataset", "--base", str(tmp_path))
    assert done.returncode == 0
    assert "the base checkpoint: unusable. Its statistics cannot normalise these data: action: dx, dy," in done.stdout
    assert "| `" not in done.stdout
    assert "mean shift (base std)" in done.stdout
    shift = answer(workspace, "data/dataset", "--base", str(tmp_path))["base"]["features"]["action"]["dimensions"][0]
    mean = json.loads((workspace / "data/dataset/meta/stats.json").read_text())["action"]["mean"][0]
    np.testing.assert_allclose(shift["mean_shift"], abs(mean - 9) / 0.5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 3, "no such folder"),
        (["data/dataset", "--horizon", "4"], 2, "Add --representation chunk_relative"),
        (["data/dataset", "--representation", "chunk_relative"], 2, "--horizon"),
        (["data/dataset", "--representation", "step_delta", "--horizon", "4"], 2, "--horizon 4 without chunks"),
        (["data/dataset", "--representation", "absolute"], 3, "recorded as steps"),
        (["data/dataset", "--base", "nowhere.json"], 3, "no such file"),
        (["data/dataset", "--where", "tusk = 1"], 2, "tusk"),
    ],
)
def test_what_cannot_be_done_is_said(workspace: Path, arguments: list[str], code: int, message: str) -> None:
    done = gripline(workspace, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
