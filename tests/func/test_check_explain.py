"""`gripline check --explain` from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from beside import UNIT, helpers

from components.core.files import tree_manifest
from components.core.params import load_params

EPISODES = helpers(UNIT / "checks" / "episodes.py")
BAD = EPISODES.FAULTS["black_frames"][0](EPISODES.good(50))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A workspace whose dataset of eleven episodes was not checked yet."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copyfile(project / "params.yaml", root / "params.yaml")
    (root / "data").mkdir()
    samples = [*(EPISODES.good(seed) for seed in range(10)), BAD]
    EPISODES.write_dataset(root / "data/dataset", samples, load_params(root / "params.yaml").ingest.video)
    return root


def gripline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    return subprocess.run(
        command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False
    )


def test_an_episode_is_explained_after_a_check_and_not_before(workspace: Path) -> None:
    refused = gripline(workspace, "check", "--explain", "0")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "no check of the dataset" in refused.stderr

    checked = gripline(workspace, "check")
    assert checked.returncode in (0, 1), checked.stderr
    assert f"report in {workspace / 'data/checks/report.html'}" in checked.stdout
    before = tree_manifest(workspace / "data/checks")

    done = gripline(workspace, "check", "--explain", BAD.row["source_uri"])
    assert done.returncode == 0, done.stderr
    assert "black_frames (error): a camera is dark" in done.stdout
    assert "camera fixed: 8 pictures are dark" in done.stdout
    assert "frames 3-10 (0.15-0.50 s)" in done.stdout
    html = Path(done.stdout.splitlines()[-1])
    assert html == workspace / "data/checks-explained" / BAD.row["episode_id"][:12] / "explain.html"
    assert "black_frames" in html.read_text()

    told = json.loads(gripline(workspace, "check", "--explain", BAD.row["episode_id"][:10], "--json").stdout)
    assert told["html"] == str(html)
    (black,) = [broken for broken in told["broken"] if broken["code"] == "black_frames"]
    assert black["places"][0]["ticks"] == [{"first": 3, "last": 10, "from_s": 0.15, "to_s": 0.5}]
    assert tree_manifest(workspace / "data/checks") == before

    unknown = gripline(workspace, "check", "--explain", "nobody")
    assert unknown.returncode == 3
    assert "no episode 'nobody'" in unknown.stderr
