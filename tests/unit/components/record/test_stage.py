"""Which files the stage may touch. What is recorded is tested elsewhere; these recordings are tiny."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from components.core.errors import Busy, UsageError
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import Params, Raw, load_params
from components.core.workspace import Workspace
from components.record.stage import run

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def params(project: Path, raw: Raw) -> Params:
    one = raw.model_copy(update={"episodes_per_task": 1, "planted_faults": 1})
    return load_params(project / "params.yaml").model_copy(update={"raw": one})


def _with(params: Params, **changes: object) -> Params:
    return params.model_copy(update={"raw": params.raw.model_copy(update=changes)})


def test_files_of_a_user_are_used_as_they_are(workspace: Workspace, params: Params) -> None:
    mine = workspace.raw / "lab" / "mine.mcap"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"not even an mcap")
    run(workspace, params)
    assert tree_manifest(workspace.raw).keys() == {"lab/mine.mcap"}
    assert mine.read_bytes() == b"not even an mcap"
    assert read_json(workspace.planted) == []
    assert [line["event"] for line in workspace.journal.read()] == ["recording-kept"]


@pytest.mark.sim
def test_an_empty_folder_is_filled_and_then_kept(workspace: Workspace, params: Params) -> None:
    workspace.raw.mkdir(parents=True)
    (workspace.raw / ".gitignore").write_text("*\n")
    run(workspace, params)
    recorded = tree_manifest(workspace.raw)
    assert set(recorded) == {".gitignore", *(f"site-north/faucet-open-{n:04d}.mcap" for n in range(2))} | {
        f"site-south/faucet-open-{n:04d}.mcap" for n in (2,)
    }
    planted = read_json(workspace.planted)
    assert [entry["fault"] for entry in planted] == ["nan", "truncated"]
    assert not (workspace.state / "record" / "in-progress.json").exists()
    # The pipeline deletes planted.json before it runs the stage again, and keeps data/raw.
    workspace.planted.unlink()
    run(workspace, _with(params, episodes_per_task=3))
    assert tree_manifest(workspace.raw) == recorded
    assert read_json(workspace.planted) == planted
    first, second = workspace.journal.read()
    assert (first["event"], first["episodes"], first["files"], first["planted"]) == ("recorded", 3, 3, 2)
    assert first["duration_s"] > 0
    assert second["event"] == "recording-kept"


@pytest.mark.sim
def test_planted_faults_are_forgotten_with_their_files(workspace: Workspace, params: Params) -> None:
    run(workspace, params)
    for entry in read_json(workspace.planted):
        if entry["fault"] == "nan":
            (workspace.raw / entry["source"]).unlink()
    run(workspace, params)
    assert [entry["fault"] for entry in read_json(workspace.planted)] == ["truncated"]


@pytest.mark.sim
def test_a_recording_that_was_begun_with_other_params_is_not_mixed_in(workspace: Workspace, params: Params) -> None:
    other = _with(params, planted_faults=0, episodes_per_task=3)
    run(workspace, other)
    marker = workspace.state / "record" / "in-progress.json"
    write_json(marker, other.raw.model_dump(mode="json"))
    run(workspace, _with(params, planted_faults=0, seed=9))
    assert len(tree_manifest(workspace.raw)) == 1
    assert read_json(workspace.state / "record" / "finished.json")["raw"]["seed"] == 9


def test_files_beside_an_interrupted_recording_are_not_touched(workspace: Workspace, params: Params) -> None:
    marker = workspace.state / "record" / "in-progress.json"
    write_json(marker, params.raw.model_dump(mode="json"))
    ours, mine = workspace.raw / "site-north" / "faucet-open-0000.mcap", workspace.raw / "mine.hdf5"
    ours.parent.mkdir(parents=True)
    for path in (ours, mine):
        path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"mine\.hdf5 is not of the recording that was interrupted.* Move it away"):
        run(workspace, params)
    assert len(tree_manifest(workspace.raw)) == 2


def test_two_recordings_at_once_are_refused(workspace: Workspace, params: Params) -> None:
    lock = workspace.state / "record" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="somebody else is recording"):
            run(workspace, params)
    assert not workspace.raw.exists()
