"""Small workspaces whose stage outputs are linked as the stages link them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.files import sha256_bytes, sha256_file, tree_manifest, write_bytes, write_json
from components.core.records import Record, read_record, write_record
from components.core.workspace import Workspace

MakeRun = Callable[..., Path]


def training_rows(episodes: list[str]) -> list[dict[str, str]]:
    return [
        {
            "episode_id": sha256_bytes(name.encode()),
            "source_uri": f"site-north/day.hdf5#{name}",
            "source_sha256": sha256_bytes(b"file"),
            "robot_id": "cell-1",
            "collector_id": f"collector-{index % 2}",
            "site": "site-north",
            "task": "drawer-open",
            "split": "train",
        }
        for index, name in enumerate(episodes)
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "params.yaml").write_text("{}\n")
    return Workspace(tmp_path)


@pytest.fixture
def make_run(workspace: Workspace) -> MakeRun:
    """Writes what the stages leave behind for one policy and gives the folder of its bundle."""

    def make(name: str = "seed-1", *, episodes: tuple[str, ...] = ("demo_0", "demo_1"), passed: bool = True) -> Path:
        dataset = sha256_bytes(repr(episodes).encode())
        meta = workspace.dataset / "meta" / "gripline"
        write_record(meta, Record("dataset", dataset, counts={"episodes": len(episodes)}))
        write_bytes(workspace.checks / "verdicts.parquet", repr(episodes).encode())
        verdicts = sha256_file(workspace.checks / "verdicts.parquet")
        write_record(workspace.checks, Record("checks", verdicts, {"dataset": dataset}))
        checkpoint_dir = workspace.train / name
        checkpoint = sha256_bytes(f"{name}{episodes}".encode())
        write_record(
            checkpoint_dir,
            Record(
                "checkpoint",
                checkpoint,
                {"dataset": dataset, "verdicts": verdicts},
                {"steps": 5, "seed": 1},
                {"episodes": float(len(episodes)), "val_loss": 0.5},
            ),
        )
        pq.write_table(pa.Table.from_pylist(training_rows(list(episodes))), checkpoint_dir / "episodes.parquet")
        bundle = workspace.bundles / name
        write_bytes(bundle / "policy.onnx", checkpoint.encode())
        (bundle / "card.md").write_text("# card\n")
        write_record(bundle, Record("bundle", sha256_bytes(b"onnx"), {"checkpoint": checkpoint}))
        return _seal_and_judge(workspace, bundle, passed)

    return make


def _seal_and_judge(workspace: Workspace, bundle: Path, passed: bool) -> Path:
    (bundle / "manifest.json").unlink(missing_ok=True)
    write_json(bundle / "manifest.json", tree_manifest(bundle))
    digest = sha256_file(bundle / "manifest.json")
    reasons = [] if passed else ["mean success 0.20 is below 0.70"]
    write_json(
        workspace.gate / "verdict.json",
        {"policies": {bundle.name: {"bundle": digest, "passed": passed, "reasons": reasons}}},
    )
    tasks = {"drawer-open": {"successes": 9, "n": 10, "rate": 0.9}}
    write_json(
        workspace.evaluation / "report.json",
        {"policies": {bundle.name: {"bundle": digest, "tasks": tasks, "mean": 0.9}}},
    )
    return bundle


@pytest.fixture
def degraded_copy(workspace: Workspace) -> Callable[[Path], Path]:
    """A bundle made from another bundle, as a rollback drill makes it."""

    def make(bundle: Path) -> Path:
        copy = workspace.bundles / "drill"
        shutil.copytree(bundle, copy)
        (copy / "policy.onnx").write_bytes(b"worse")
        derived = {"derived_from": sha256_file(bundle / "manifest.json")}
        write_record(copy, Record("bundle", "0" * 64, read_record(bundle).inputs, attrs=derived))
        (copy / "manifest.json").unlink()
        write_json(copy / "manifest.json", tree_manifest(copy))
        return copy

    return make
