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

from components.core.records import Record, read_record, write_record

_VIEW = helpers(UNIT / "view" / "conftest.py")
_DATASET = helpers(UNIT / "dataset" / "conftest.py")


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
    folder = tmp_path / "own" / "data" / "checks"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "verdicts.parquet")
    digest = read_record(workspace / "data/dataset/meta/gripline", "dataset").digest
    write_record(folder, Record(kind="checks", digest="", inputs={"dataset": digest}))
    asked = "data/dataset", "--where", "verdict = 'accepted'"
    found = answer(tmp_path / "own", "select", *asked)
    assert [row["episode_index"] for row in found["rows"]] == [8]
    # Beside the dataset is where `gripline check DATASET` puts them.
    folder.rename(folder.with_name("dataset-checks"))
    assert answer(tmp_path / "own", "select", *asked)["total"]["episodes"] == 1
    assert answer(tmp_path / "own", "view", "data/dataset", "8")["verdict"] == "accepted"
    made = answer(tmp_path / "own", "dataset", "card", "data/dataset")
    assert [row["value"] for row in made["facts"]["groups"]["verdict"]["rows"]] == ["", "accepted"]
    (measured,) = answer(tmp_path / "own", "dataset", "stats", *asked)["embodiments"]
    assert measured["episodes"] == 1
    write_record(folder.with_name("dataset-checks"), Record(kind="checks", digest="", inputs={"dataset": "0" * 64}))
    for command in (("select",), ("dataset", "card"), ("dataset", "stats")):
        stale = gripline(tmp_path / "own", *command, *asked)
        assert stale.returncode == 2
        assert "are of digest 000000000000, the dataset has changed since" in stale.stderr
    unknown = gripline(workspace, "select", "data/dataset", "--where", "verdict = 'accepted'")
    assert unknown.returncode == 2
    assert "run `gripline check` first. Name verdicts.parquet with --verdicts" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("data/dataset", "--where", "tasks = 'open'"), 2, "Did you mean 'task'?"),
        (("data/dataset", "--where", "task = 'sing'", "--out", "sung"), 3, "none of 9 episodes fits"),
        (("data/dataset", "--where", "task = (select 1)"), 2, "a SELECT of its own is not allowed"),
        (("data/nothing", "--where", "true"), 3, "no such folder"),
        (("params.yaml", "--where", "true"), 3, "a file, a dataset is a folder"),
        (("data/dataset", "--where", "task = 'sing'", "--columns", "taks"), 2, "Did you mean 'task'?"),
        (("data/dataset", "--where", "true", "--out", "data/dataset/some"), 2, "lies in the dataset"),
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


@pytest.mark.parametrize("command", [("dataset", "card", "data/dataset"), ("view", "data/dataset", "0")])
@pytest.mark.parametrize(("out", "message"), [("params.yaml", "is a file"), ("data/dataset/x", "lies in the dataset")])
def test_nothing_is_written_where_it_does_not_belong(
    workspace: Path, command: tuple[str, ...], out: str, message: str
) -> None:
    before = sorted(workspace.rglob("*"))
    done = gripline(workspace, *command, "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{out}: {message}" in done.stderr
    assert sorted(workspace.rglob("*")) == before


def test_none_is_an_answer(workspace: Path) -> None:
    where = "task = 'open' and length > 100"
    found = answer(workspace, "select", "data/dataset", "--where", where)
    assert (found["total"]["episodes"], found["of"], found["rows"]) == (0, 9, [])
    assert found["alone"] == {"(task = 'open')": 5, "(length > 100)": 0}
    said = gripline(workspace, "select", "data/dataset", "--where", where).stdout
    assert said == "0 of 9 episodes\nEach condition alone leaves (task = 'open'): 5; (length > 100): 0\n"


def test_how_many_are_shown_is_said(workspace: Path, tmp_path: Path) -> None:
    asked = "select", "data/dataset", "--where", "true"
    assert answer(workspace, *asked)["shown"] == 9
    few = answer(workspace, *asked, "--limit", "2")
    assert (few["shown"], len(few["rows"]), few["total"]["episodes"]) == (2, 2, 9)
    assert "shown are the first 2; --limit says how many" in gripline(workspace, *asked, "--limit", "2").stdout
    assert "shown are" not in gripline(workspace, *asked).stdout
    # Of more than are printed, JSON has all.
    _DATASET.write_tree(tmp_path / "many", [_DATASET.make_episode(seed, length=3) for seed in range(12)])
    many = "select", str(tmp_path / "many"), "--where", "true"
    assert len(answer(workspace, *many)["rows"]) == 12
    assert "shown are the first 10;" in gripline(workspace, *many).stdout


def test_a_member_that_moved_is_found_where_at_says(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "own")
    own = tmp_path / "own"
    answer(own, "select", "data/dataset", "--where", "task = 'open'", "--out", "some")
    (own / "data" / "dataset").rename(own / "away")
    lost = gripline(own, "view", "some", "0000000000")
    assert lost.returncode == 3
    assert "Say where it lies with --at dataset=PATH" in lost.stderr
    at = "--at", "dataset=away"
    assert answer(own, "view", "some", "0000000000", *at)["frames"] == 20
    html = Path(answer(own, "dataset", "card", "some", *at)["html"]).read_text()
    assert "data:image/jpeg" in html
    assert answer(own, "select", "some", "--where", "true", *at)["of"] == 5
    chunks = "dataset", "stats", "some", "--representation", "chunk_relative", "--horizon", "4"
    assert answer(own, *chunks, *at)["embodiments"][0]["episodes"] == 5
    absent = gripline(own, *chunks)
    assert absent.returncode == 3
    assert "is not on this machine" in absent.stderr
    assert "Traceback" not in absent.stderr
