"""select, view and dataset card from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from beside import UNIT, helpers

_VIEW = helpers(UNIT / "view" / "conftest.py")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A workspace whose own dataset has nine episodes and is not checked."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copyfile(project / "params.yaml", root / "params.yaml")
    _VIEW.write_tree(root / "data" / "dataset")
    return root


def gripline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "GRIPLINE_AT"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    done = gripline(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_select_counts_and_keeps_a_manifest(workspace: Path) -> None:
    where = "task = 'open' and robot_id = 'cell-a'"
    found = answer(workspace, "select", "data/dataset", "--where", where, "--out", "open", "--columns", "episode_index")
    assert (found["total"]["episodes"], found["of"]) == (4, 9)
    assert [row["episode_index"] for row in found["rows"]] == [0, 1, 2, 8]
    again = answer(workspace, "select", "open", "--where", "length > 20")
    assert (again["total"]["episodes"], again["of"]) == (2, 4)
    text = gripline(workspace, "select", "data/dataset", "--where", where).stdout
    assert text.startswith("4 of 9 episodes, 83 frames")
    assert "task: open 4" in text


def test_verdicts_of_the_workspace_count_for_its_own_dataset(workspace: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"episode_id": "0" * 64, "verdict": "accepted", "codes": ["idle"]}]
    schema = pa.schema([("episode_id", pa.string()), ("verdict", pa.string()), ("codes", pa.list_(pa.string()))])
    shutil.copytree(workspace, tmp_path / "own")
    (tmp_path / "own" / "data" / "checks").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "own" / "data" / "checks" / "verdicts.parquet")
    found = answer(tmp_path / "own", "select", "data/dataset", "--where", "verdict = 'accepted'")
    assert [row["episode_index"] for row in found["rows"]] == [8]
    unknown = gripline(workspace, "select", "data/dataset", "--where", "verdict = 'accepted'")
    assert unknown.returncode == 2
    assert "verdict is not known here. Name verdicts.parquet with --verdicts" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("data/dataset", "--where", "tasks = 'open'"), 2, "Did you mean 'task'?"),
        (("data/dataset", "--where", "task = 'sing'"), 3, "none of 9 episodes fits"),
        (("data/dataset", "--where", "task = (select 1)"), 2, "a SELECT of its own is not allowed"),
        (("data/nothing", "--where", "true"), 3, "not a dataset"),
        (("data/dataset", "--where", "true", "--columns", "taks"), 2, "Did you mean 'task'?"),
        (("data/dataset", "--where", "true", "--out", "params.yaml"), 2, "params.yaml"),
    ],
)
def test_select_refuses_clearly(workspace: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = gripline(workspace, "select", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_card_and_view_write_beside_the_dataset(workspace: Path) -> None:
    made = answer(workspace, "dataset", "card", "data/dataset", "--where", "task <> 'close'")
    assert Path(made["markdown"]) == workspace / "data" / "dataset-card" / "card.md"
    assert "| open | 5 |" in Path(made["markdown"]).read_text()
    assert made["facts"]["total"]["episodes"] == 7

    seen = answer(workspace, "view", "data/dataset", "0000000000")
    assert (seen["episode_index"], seen["frames"]) == (8, 20)
    assert Path(seen["html"]) == workspace / "data" / "dataset-views" / "000000000000" / "episode.html"
    assert Path(seen["recording"]).read_bytes()[:3] == b"RRF"
    missing = gripline(workspace, "view", "data/dataset", "77", "--out", "elsewhere")
    assert missing.returncode == 3
    assert "no episode '77'" in missing.stderr
    assert not (workspace / "elsewhere").exists()
