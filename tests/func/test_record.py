"""The stage as DVC runs it: a process in a workspace, killed and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from components.core.errors import FormatError
from components.core.files import read_json, tree_manifest
from components.formats.registry import read

pytestmark = pytest.mark.sim


def _workspace(folder: Path, project: Path, **raw: object) -> Path:
    folder.mkdir(parents=True)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["raw"].update(raw)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def _start(folder: Path, workers: int = 2) -> subprocess.Popen[str]:
    environment = os.environ | {"GRIPLINE_WORKERS": str(workers)}
    command = [sys.executable, "-W", "error", "-m", "components.record"]
    # A session of its own: the test can look for processes that stay behind.
    return subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _finish(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def _session(leader: int) -> list[int]:
    """Processes that still run in the session of `leader`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.kill
def test_a_killed_recording_is_completed_to_the_same_bytes(project: Path, tmp_path: Path) -> None:
    tasks = ["faucet-open", "button-press-topdown"]
    raw: dict[str, object] = {"tasks": tasks, "episodes_per_task": 4, "planted_faults": 0}
    whole = _workspace(tmp_path / "whole", project, **raw)
    # One process here and two below: how many there are must not show in the files.
    _finish(_start(whole, workers=1))
    broken = _workspace(tmp_path / "broken", project, **raw)
    victim = _start(broken)
    deadline = time.monotonic() + 120
    while not list(broken.glob("data/raw/*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    done = set(tree_manifest(broken / "data" / "raw"))
    assert 0 < len(done) < len(tree_manifest(whole / "data" / "raw"))
    # Its workers do not outlive it.
    deadline = time.monotonic() + 30
    while _session(victim.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _session(victim.pid) == []
    said = _finish(_start(broken))
    assert "recorded 8 episodes" in said
    assert tree_manifest(broken / "data") == tree_manifest(whole / "data")


def test_every_planted_fault_can_be_found_where_it_is_said_to_be(project: Path, tmp_path: Path) -> None:
    folder = _workspace(tmp_path / "w", project, tasks=["faucet-open"], episodes_per_task=1, planted_faults=8)
    _finish(_start(folder))
    raw = folder / "data" / "raw"
    sources = {}

    def read_all() -> None:
        for episode in read(raw):
            sources[episode.provenance.source_uri] = episode

    with pytest.raises(FormatError, match="ends too early") as broken:
        read_all()
    planted = {entry["fault"]: entry["source"] for entry in read_json(folder / "data" / "planted.json")}
    assert len(planted) == 9
    assert (broken.value.where, broken.value.code) == (planted.pop("truncated"), "truncated")
    assert set(planted.values()) < set(sources)
    assert len(sources) == 9
    assert sources[planted["missing_language"]].instruction == ""
    assert sum(1 for episode in sources.values() if not episode.instruction) == 1
