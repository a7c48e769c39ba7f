"""The command line from outside: exit codes, messages, and one JSON object on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


@pytest.fixture
def workspace(tmp_path: Path, project: Path) -> Path:
    shutil.copyfile(project / "params.yaml", tmp_path / "params.yaml")
    return tmp_path


def gripline(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_usage_errors_exit_with_2(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert gripline(workspace, "no-such-command").returncode == 2
    outside = gripline(tmp_path_factory.mktemp("outside"), "gate")
    assert outside.returncode == 2
    assert "no params.yaml" in outside.stderr
    (workspace / "params.yaml").write_text("raw: {}\n")
    wrong = gripline(workspace, "check")
    assert wrong.returncode == 2
    assert "raw.tasks: Field required" in wrong.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x89MCAP0\r\n", "ends too early"),
        (b"version https://git-lfs", "git-lfs"),
        (b"hello", "unknown"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_written(workspace: Path, content: bytes, said: str) -> None:
    (workspace / "in").mkdir()
    (workspace / "in" / "day.mcap").write_bytes(content)
    done = gripline(workspace, "ingest", "in", "--out", "dataset")
    assert done.returncode == 3
    assert "day.mcap" in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in workspace.iterdir() if not path.name.startswith(".")) == ["in", "params.yaml"]

    looked = gripline(workspace, "inspect", "in/day.mcap", "--json")
    assert looked.returncode == 3
    (problem,) = json.loads(looked.stdout)["problems"]
    assert said.lower() in (problem["code"] + " " + problem["detail"]).lower()


def test_an_empty_folder_is_bad_input(workspace: Path) -> None:
    (workspace / "in").mkdir()
    done = gripline(workspace, "ingest", "in", "--out", "dataset")
    assert done.returncode == 3
    assert not (workspace / "dataset").exists()


def test_a_missing_server_is_a_missing_component(workspace: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    doctor = gripline(workspace, "doctor", "--json", GRIPLINE_SERVING_ENV=nowhere)
    assert doctor.returncode == 4
    (missing,) = [item for item in json.loads(doctor.stdout)["checks"] if not item["ok"]]
    assert "Triton" in missing["name"]
    assert missing["mend"] == "make setup"


def test_what_is_not_there_is_named(workspace: Path) -> None:
    unsealed = gripline(workspace, "register", "data/bundles/none")
    assert unsealed.returncode == 3
    assert "no manifest.json" in unsealed.stderr
    nothing = gripline(workspace, "trace", "nobody")
    assert nothing.returncode == 3
    assert "nothing called 'nobody'" in nothing.stderr
    status = gripline(workspace, "rollout", "status")
    assert status.returncode == 2
    assert "there was no rollout yet" in status.stderr
    unknown = gripline(workspace, "rollout", "log", "nope")
    assert unknown.returncode == 2
    assert "no rollout 'nope'" in unknown.stderr


def test_the_version_is_that_of_the_package(workspace: Path) -> None:
    done = gripline(workspace, "--version")
    assert (done.returncode, done.stdout) == (0, f"gripline {version('gripline')}\n")


def test_a_check_takes_no_folder_of_somebody_else(workspace: Path) -> None:
    (workspace / "thesis").mkdir()
    (workspace / "thesis" / "chapter.tex").write_text("years of work")
    done = gripline(workspace, "check", "dataset", "--out", "thesis")
    assert (done.returncode, done.stdout) == (2, "")
    assert "thesis: holds something that no check wrote" in done.stderr
    assert (workspace / "thesis" / "chapter.tex").read_text() == "years of work"


def test_a_manifest_is_no_recording(workspace: Path) -> None:
    (workspace / "all").mkdir()
    (workspace / "all" / "manifest.json").write_text('{"kind": "manifest", "version": 1, "members": []}')
    done = gripline(workspace, "ingest", "all", "--out", "dataset")
    assert done.returncode == 3
    assert "a manifest, which names datasets; ingest takes recordings" in done.stderr
    assert "the folders of the datasets that it names" in done.stderr
    assert not (workspace / "dataset").exists()


@pytest.mark.sim
def test_recorded_files_are_inspected_and_ingested(workspace: Path) -> None:
    made = gripline(workspace, "record", "--task", "faucet-open", "-n", "2", "--out", "in", "--json")
    assert made.returncode == 0, made.stderr
    files = json.loads(made.stdout)["files"]
    looked = json.loads(gripline(workspace, "inspect", files[0], "--json").stdout)
    assert looked["format"] == "mcap"
    assert looked["episodes"] == 1
    assert {"fixed", "wrist", "action"} <= {stream["name"] for stream in looked["streams"]}
    (workspace / "in" / "cut.mcap").write_bytes(Path(workspace / files[0]).read_bytes()[:5000])
    ingested = gripline(workspace, "ingest", "in", "--out", "dataset", "--json")
    assert ingested.returncode == 0, ingested.stderr
    report = json.loads(ingested.stdout)
    assert (report["episodes_in"], report["episodes_out"]) == (3, 2)
    assert [item["source"].endswith("cut.mcap") for item in report["quarantined"]] == [True]
    judged = gripline(workspace, "check", "dataset", "--out", "checks", "--json")
    assert judged.returncode == 1, judged.stderr
    verdict = json.loads(judged.stdout)
    assert (verdict["passed"], verdict["episodes"], verdict["failed"]) == (False, 2, [])
    assert (workspace / verdict["docs"]).exists()
    assert Path(verdict["verdicts"]) == workspace / "checks/verdicts.parquet"
    assert f"verdicts in {verdict['verdicts']}" in gripline(workspace, "check", "dataset", "--out", "checks").stdout
