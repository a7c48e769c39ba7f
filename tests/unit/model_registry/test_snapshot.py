from __future__ import annotations

import shutil

import pytest

from components.core.errors import LineageError
from components.core.files import write_bytes, write_json
from components.core.records import Record, write_record
from components.core.workspace import Workspace
from model_registry.snapshot import bundle_digest, open_snapshot, take_snapshot


def test_a_snapshot_outlives_the_outputs_it_was_taken_from(workspace: Workspace, make_run) -> None:
    bundle = make_run()
    taken = take_snapshot(workspace, bundle)
    shutil.rmtree(workspace.data)

    kept = open_snapshot(workspace, taken.digest)

    assert kept.record("checkpoint").params["steps"] == 5
    assert kept.record("dataset").digest == kept.record("checkpoint").inputs["dataset"]
    assert kept.gate["passed"] is True
    assert kept.evaluation["mean"] == 0.9
    assert bundle_digest(workspace.store / taken.digest) == taken.digest


def test_taking_a_snapshot_twice_changes_nothing(workspace: Workspace, make_run) -> None:
    bundle = make_run()
    first = take_snapshot(workspace, bundle)
    before = (first.folder / "bundle" / "record.json").stat().st_mtime_ns
    assert take_snapshot(workspace, bundle) == first
    assert (first.folder / "bundle" / "record.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("folder", "record", "role"),
    [
        ("train/seed-1", Record("checkpoint", "0" * 64), "checkpoint"),
        ("dataset/meta/gripline", Record("dataset", "1" * 64), "dataset"),
    ],
)
def test_outputs_of_different_runs_are_refused(workspace: Workspace, make_run, folder, record, role) -> None:
    bundle = make_run()
    write_record(workspace.data / folder, record)
    with pytest.raises(LineageError, match=f"made from {role} .* but the workspace holds"):
        take_snapshot(workspace, bundle)
    assert not (workspace.state / "records").exists() or not list((workspace.state / "records").glob("[!.]*"))


def test_verdicts_that_changed_after_training_are_refused(workspace: Workspace, make_run) -> None:
    bundle = make_run()
    write_bytes(workspace.checks / "verdicts.parquet", b"another verdict")
    with pytest.raises(LineageError, match="made from verdicts"):
        take_snapshot(workspace, bundle)


def test_a_verdict_about_another_bundle_is_not_kept(workspace: Workspace, make_run) -> None:
    bundle = make_run()
    write_json(
        workspace.gate / "verdict.json", {"policies": {"seed-1": {"bundle": "f" * 64, "passed": True, "reasons": []}}}
    )
    assert take_snapshot(workspace, bundle).gate == {}


def test_a_folder_that_was_never_sealed_is_named(workspace: Workspace) -> None:
    with pytest.raises(LineageError, match=r"bundles/none: no manifest\.json"):
        take_snapshot(workspace, workspace.bundles / "none")


def test_records_that_are_gone_are_named(workspace: Workspace) -> None:
    with pytest.raises(LineageError, match="no records of bundle aaaaaaaaaaaa"):
        open_snapshot(workspace, "a" * 64)
