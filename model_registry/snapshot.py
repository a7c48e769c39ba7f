"""What is kept of a run when its bundle is registered: the bundle itself and the records that explain it.

The outputs of the pipeline are replaced by the next run. A registered version outlives them, so its bundle goes to
`.gripline/store/<digest>/` and its records to `.gripline/records/<digest>/`, both whole or absent.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import LineageError
from components.core.files import read_json, replace_dir, sha256_file, write_json
from components.core.records import RECORD_NAME, Record, read_record
from components.core.workspace import Workspace

# Records of a snapshot, from the served thing back to the recordings.
CHAIN = ("bundle", "checkpoint", "checks", "dataset")
EPISODES_NAME = "episodes.parquet"
EVALUATION_NAME = "evaluation.json"
GATE_NAME = "gate.json"


@dataclass(frozen=True)
class Snapshot:
    """Records of one registered bundle, read back."""

    digest: str
    folder: Path

    def record(self, kind: str) -> Record:
        return read_record(self.folder / kind, kind)

    @property
    def episodes_file(self) -> Path:
        """Parquet: one row per episode that the checkpoint was trained on."""
        return self.folder / EPISODES_NAME

    @property
    def gate(self) -> dict[str, Any]:
        path = self.folder / GATE_NAME
        return dict(read_json(path)) if path.is_file() else {}

    @property
    def evaluation(self) -> dict[str, Any]:
        path = self.folder / EVALUATION_NAME
        return dict(read_json(path)) if path.is_file() else {}


def bundle_digest(folder: Path) -> str:
    """sha256 of the manifest, which names the sha256 of every other file."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise LineageError(
            "no manifest.json", where=str(folder), hint="Export seals a bundle; give the folder it wrote"
        )
    return sha256_file(manifest)


def snapshot_folder(workspace: Workspace, digest: str) -> Path:
    return workspace.state / "records" / digest


def open_snapshot(workspace: Workspace, digest: str) -> Snapshot:
    folder = snapshot_folder(workspace, digest)
    if not folder.is_dir():
        raise LineageError(f"no records of bundle {digest[:12]}", where=str(folder), hint="Register the bundle again")
    return Snapshot(digest, folder)


def take_snapshot(workspace: Workspace, bundle: Path) -> Snapshot:
    """Copies a bundle and its records into the state folder; does nothing where they are already there."""
    digest = bundle_digest(bundle)
    _keep_bundle(workspace, bundle, digest)
    folder = snapshot_folder(workspace, digest)
    if not folder.is_dir():
        record = read_record(bundle, "bundle")
        derived_from = record.attrs.get("derived_from")
        with replace_dir(folder) as partial:
            if derived_from:
                _copy_parent(open_snapshot(workspace, str(derived_from)), partial)
            else:
                _copy_run(workspace, bundle.name, digest, record, partial)
            _copy_record(bundle, partial / "bundle")
    return Snapshot(digest, folder)


def _keep_bundle(workspace: Workspace, bundle: Path, digest: str) -> None:
    target = workspace.store / digest
    if target.is_dir():
        return
    with replace_dir(target) as partial:
        shutil.copytree(bundle, partial, dirs_exist_ok=True)


def _copy_record(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / RECORD_NAME, target / RECORD_NAME)


def _copy_parent(parent: Snapshot, target: Path) -> None:
    """A bundle made from another bundle has that bundle's data, and no verdict of its own."""
    shutil.copytree(parent.folder, target, dirs_exist_ok=True)
    for name in (GATE_NAME, EVALUATION_NAME):
        (target / name).unlink(missing_ok=True)


def _copy_run(workspace: Workspace, name: str, digest: str, bundle: Record, target: Path) -> None:
    checkpoint_dir = workspace.train / name
    checkpoint = read_record(checkpoint_dir, "checkpoint")
    _require_link("bundle", "checkpoint", bundle, checkpoint.digest)
    dataset_dir = workspace.dataset / "meta" / "gripline"
    dataset = read_record(dataset_dir, "dataset")
    _require_link("checkpoint", "dataset", checkpoint, dataset.digest)
    checks = read_record(workspace.checks, "checks")
    verdicts = sha256_file(workspace.checks / "verdicts.parquet")
    _require_link("checkpoint", "verdicts", checkpoint, verdicts)
    _require_link("checks", "dataset", checks, dataset.digest)
    for kind, folder in (("checkpoint", checkpoint_dir), ("dataset", dataset_dir), ("checks", workspace.checks)):
        _copy_record(folder, target / kind)
    shutil.copyfile(checkpoint_dir / EPISODES_NAME, target / EPISODES_NAME)
    _copy_verdict(workspace, name, digest, target)


def _copy_verdict(workspace: Workspace, name: str, digest: str, target: Path) -> None:
    """The evaluation and the gate's word, where they are about this very bundle."""
    for path, file_name in (
        (workspace.evaluation / "report.json", EVALUATION_NAME),
        (workspace.gate / "verdict.json", GATE_NAME),
    ):
        if path.is_file():
            entry = read_json(path)["policies"].get(name, {})
            if entry.get("bundle") == digest:
                write_json(target / file_name, entry)


def _require_link(kind: str, role: str, record: Record, digest: str) -> None:
    made_from = record.inputs.get(role, "nothing")
    if made_from != digest:
        raise LineageError(
            f"the {kind} was made from {role} {made_from[:12]}, but the workspace holds {digest[:12]}",
            hint="Run `dvc repro` so that all outputs belong to one run",
        )
