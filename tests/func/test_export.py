"""Checkpoints of the real policy to sealed bundles, through files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from components.bundle.bundle import load_bundle
from components.core.errors import GateRefused, RecordError
from components.core.files import read_json, sha256_file, tree_manifest
from components.core.params import Params, Video, load_params
from components.core.records import Record, read_record, write_record
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.export.export import run
from components.policy.checkpoint import save_policy
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms

CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
INSTRUCTIONS = ("pull the drawer open", "press the button")


def write_dataset(root: Path) -> None:
    rng = np.random.default_rng(0)
    sides: dict[str, str] = {}
    with DatasetWriter(root, CELL, 20, Video(codec="h264", crf=18, gop=2, pix_fmt="yuv420p")) as writer:
        for number in range(3):
            images = {name: rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8) for name in ("fixed", "wrist")}
            state = rng.normal(0.3, 0.1, (12, 4)).astype(np.float32)
            row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": CELL.name}
            name = hashlib.sha256(bytes([number])).hexdigest()
            sides[name] = "val" if number else "train"
            action = rng.uniform(-1, 1, (12, 4)).astype(np.float32)
            instruction = INSTRUCTIONS[number % 2]
            time_s = np.arange(12) / 20
            writer.add_frames(EpisodeFrames(name, "task", instruction, images, state, action, time_s, row))
        writer.close(sides)


def write_checkpoint(folder: Path, *, blind: bool) -> None:
    folder.mkdir(parents=True)
    transforms = PolicyTransforms.fit(CELL, [0.3] * 4, [0.1] * 4, INSTRUCTIONS, 16)
    config = PolicyConfig("gripline-tiny", CELL, transforms.vocab_size, 16, 8, blind)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = config.build()
        last = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)][-1]
        # A fresh head answers close to zero, where every graph agrees with every other.
        torch.nn.init.normal_(last.weight, std=0.2)
    digest = save_policy(folder, module, config, transforms)
    write_record(folder, Record("checkpoint", digest, {"dataset": "d" * 64, "verdicts": "e" * 64}))
    rows = [{"episode_id": "x", "task": "drawer-open", "site": "site-north", "robot_id": "cell-1"}] * 2
    pq.write_table(pa.Table.from_pylist(rows), folder / "episodes.parquet")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    loaded = load_params(project / "params.yaml")
    return loaded.model_copy(update={"export": loaded.export.model_copy(update={"parity_samples": 8})})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, params: Params, project: Path) -> Workspace:
    """A workspace after `run`."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    (workspace.root / "params.yaml").write_text((project / "params.yaml").read_text())
    write_dataset(workspace.dataset)
    write_checkpoint(workspace.train / "seed-1", blind=False)
    write_checkpoint(workspace.train / "blind", blind=True)
    (workspace.train / "notes").mkdir()  # no record: not a checkpoint
    run(workspace, params)
    return workspace


def test_every_checkpoint_becomes_a_bundle_that_acts(workspace: Workspace, params: Params):
    assert sorted(path.name for path in workspace.bundles.iterdir()) == ["blind", "parity.json", "seed-1"]
    dataset = Dataset.open(workspace.dataset)
    images = {camera: dataset.images(1, camera) for camera in dataset.cameras}
    state = dataset.frames(1)["observation.state"]
    for name in ("blind", "seed-1"):
        bundle = load_bundle(workspace.bundles / name, expect=CELL)
        assert bundle.warm_up() <= params.export.parity_max_abs
        assert bundle.record.inputs == {"checkpoint": read_record(workspace.train / name).digest}
        assert bundle.contract.execute == params.evaluate.execute
        actions = bundle.act(images, state, [INSTRUCTIONS[1]] * len(state))
        assert actions.shape == (12, 8, 4)
        dark = {camera: np.zeros_like(image) for camera, image in images.items()}
        moved = float(np.abs(bundle.act(dark, state, [INSTRUCTIONS[1]] * len(state)) - actions).max())
        assert (moved == 0.0) == (name == "blind")
        assert bundle.record.attrs["blind"] == (name == "blind")


def test_the_metric_and_the_journal_name_every_policy(workspace: Workspace, params: Params):
    summary = read_json(workspace.bundles / "parity.json")
    assert sorted(summary) == ["blind", "seed-1"]
    assert 0.0 < summary["seed-1"] <= params.export.parity_max_abs
    entries = [line for line in workspace.journal.read() if line["event"] == "export"]
    sealed = sha256_file(workspace.bundles / "seed-1" / "manifest.json")
    assert sealed in {entry["bundle"] for entry in entries if entry["policy"] == "seed-1"}
    assert "| task | drawer-open | 2 |" in (workspace.bundles / "seed-1" / "card.md").read_text()


def test_a_fresh_process_gives_the_same_bytes_and_removes_what_is_stale(workspace: Workspace, project: Path):
    (workspace.root / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("parity_samples: 64", "parity_samples: 8")
    )
    before = tree_manifest(workspace.bundles)
    stale = workspace.bundles / "seed-9"
    stale.mkdir()
    (stale / "manifest.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "components.export"],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "77", "PYTHONPATH": str(project)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert tree_manifest(workspace.bundles) == before


def test_a_parity_limit_that_is_not_met_leaves_the_old_bundle(workspace: Workspace, params: Params):
    strict = params.model_copy(update={"export": params.export.model_copy(update={"parity_max_abs": 1e-12})})
    before = tree_manifest(workspace.bundles)
    with pytest.raises(GateRefused, match="the limit is 1e-12"):
        run(workspace, strict)
    assert tree_manifest(workspace.bundles) == before


def test_a_checkpoint_that_is_not_what_its_record_says_is_refused(tmp_path: Path, params: Params):
    workspace = Workspace(tmp_path)
    write_dataset(workspace.dataset)
    with pytest.raises(RecordError, match="no checkpoint"):
        run(workspace, params)
    write_checkpoint(workspace.train / "seed-1", blind=True)
    config = workspace.train / "seed-1" / "config.json"
    config.write_text(json.dumps(read_json(config) | {"preset": "other"}))
    with pytest.raises(RecordError, match="not what its record says"):
        run(workspace, params)
    assert not workspace.bundles.exists()
