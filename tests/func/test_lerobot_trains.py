"""LeRobot's own ACT as our train stage, in an environment of its own, and the way from its version to the episodes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import train_world
from beside import helpers
from safetensors.numpy import load_file

from components.bundle.bundle import load_bundle
from components.core.files import read_json, sha256_file
from components.core.params import load_params
from components.core.records import Record, read_record, write_record
from components.core.train_params import External
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.export.export import run as export
from components.train.stage import run
from model_registry.lineage.query import impact, trace
from model_registry.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv-lerobot" / "bin" / "python"
LEROBOT = os.environ.get("GRIPLINE_LEROBOT_PYTHON") or (str(OWN) if OWN.is_file() else "")
RUNNER = "components/train/runners/lerobot_act.py"
SETTINGS = {
    "steps": 6,
    "batch_size": 4,
    "dim_model": 32,
    "n_heads": 2,
    "dim_feedforward": 64,
    "n_encoder_layers": 1,
    "n_vae_encoder_layers": 1,
    "latent_dim": 4,
}
world = helpers(ROOT / "tests" / "func" / "test_train.py")
pytestmark = pytest.mark.skipif(not LEROBOT, reason="no Python with LeRobot: run `make lerobot`")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which LeRobot trained and the result was exported and registered."""
    workspace = Workspace(tmp_path_factory.mktemp("lerobot"))
    world.write_dataset(workspace.dataset)
    world.write_verdicts(workspace, refused=(4,))
    dataset, verdicts = Dataset.open(workspace.dataset), workspace.checks / "verdicts.parquet"
    write_record(workspace.checks, Record("checks", sha256_file(verdicts), {"dataset": dataset.digest}))
    loaded = load_params(ROOT / "params.yaml")
    told = ("{dataset}", "{episodes}", "{val_episodes}", "{out}", "{params}")
    external = External(command=(LEROBOT, str(ROOT / RUNNER), *told), settings=SETTINGS)
    changes = {"seeds": (3,), "chunk": 4, "blind_steps": 0, "wordless_steps": 0, "external": external}
    params = loaded.model_copy(update={"train": loaded.train.model_copy(update=changes)})
    run(workspace, params)
    export(workspace, params)
    return workspace


def test_lerobots_checkpoint_is_kept_as_lerobot_wrote_it(workspace: Workspace) -> None:
    folder = workspace.train / "seed-3"
    kept = {path.name for path in (folder / "checkpoint").iterdir()}
    assert {"config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"} <= kept
    record = read_record(folder, "checkpoint")
    assert record.attrs["external"]["framework"] == "lerobot"
    assert record.counts["steps"] == SETTINGS["steps"]
    assert 0 < record.counts["val_loss"] < 10
    assert read_json(folder / "base_statistics.json")["verdict"] == "fits"
    episodes = pd.read_parquet(folder / "episodes.parquet")
    assert sorted(episodes["source_uri"]) == ["0.mcap", "1.mcap", "2.mcap", "3.mcap"]


def test_the_bundle_answers_what_lerobot_answers(workspace: Workspace) -> None:
    bundle = load_bundle(workspace.bundles / "seed-3", expect=train_world.CELL)
    parity = read_json(workspace.bundles / "seed-3" / "parity.json")
    assert (parity["reference"], parity["candidate"], parity["samples"]) == ("lerobot-torch", "onnxruntime", 32)
    assert parity["max_abs"] < 1e-4
    samples = load_file(workspace.train / "seed-3" / "samples.safetensors")
    images = {camera: samples["images"][:, place] for place, camera in enumerate(("fixed", "wrist"))}
    words = bundle.transforms.tokens.inverse(samples["tokens"])
    found = bundle.act(images, samples["state"], words)
    np.testing.assert_allclose(found, np.clip(samples["actions"], -1, 1), atol=1e-4)
    dark = bundle.act({name: np.zeros_like(image) for name, image in images.items()}, samples["state"], words)
    assert np.abs(dark - found).max() > 1e-3, "it sees"


def test_a_registered_version_leads_to_the_episodes_that_lerobot_saw(workspace: Workspace) -> None:
    version = Registry(workspace, "cell").register(workspace.bundles / "seed-3")
    checkpoint = read_record(workspace.train / "seed-3").digest
    assert version.tags["checkpoint"] == checkpoint
    assert version.tags["dataset"] == Dataset.open(workspace.dataset).digest
    answer = trace(workspace, f"version:{version.version}")
    found = {node.id.partition(":")[2] for node in answer.graph.of_kind("episode")}
    assert found == set(pd.read_parquet(workspace.train / "seed-3" / "episodes.parquet")["episode_id"])
    assert [node.id for node in answer.graph.of_kind("checkpoint")] == [f"checkpoint:{checkpoint}"]
    taught = impact(workspace, f"episode:{sorted(found)[0]}")
    assert [node.id for node in taught.graph.of_kind("version")] == [f"version:{version.version}"]
