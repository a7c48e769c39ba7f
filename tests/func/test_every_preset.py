"""Every preset that a CPU trains: from a dataset to a bundle that answers like torch, through the stages' files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from line import Line, make_workspace
from train_world import LENGTH, write_dataset, write_verdicts

from components.bundle.bundle import load_bundle
from components.core.errors import ParamsError
from components.core.files import read_json
from components.core.params import Params, load_params
from components.core.records import read_record
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.export.export import run as export
from components.policy.action_heads.flow import convention_of
from components.policy.catalogue.families import CARDS, PRESETS
from components.policy.checkpoint import load_policy
from components.train.inputs import load_inputs
from components.train.stage import run as train

SMALL = [card.presets[-1].name for card in CARDS]
CHUNK = 4
# Of a graph; one that unrolls its steps has several times as many.
NODES = 3000
# As params.yaml would say it.
QUICK = {"steps": 3, "blind_steps": 0, "wordless_steps": 0, "seeds": [1], "batch_size": 4, "warmup_steps": 1}
QUICK |= {"chunk": CHUNK, "loader": {"run_frames": 4, "pool_windows": 16}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "dataset"
    write_dataset(root, SAWYER_CELL)
    return root


@pytest.fixture
def workspace(tmp_path: Path, dataset: Path) -> Workspace:
    """A workspace whose dataset is shared; it must not be written to."""
    found = Workspace(tmp_path)
    found.data.mkdir()
    found.dataset.symlink_to(dataset)
    write_verdicts(found)
    return found


def told(project: Path, preset: str, **changed: object) -> Params:
    params = load_params(project / "params.yaml")
    section = params.train.model_dump() | QUICK | {"preset": preset, "unused": unused(preset)} | changed
    return params.model_copy(
        update={
            "train": type(params.train).model_validate(section),
            "export": params.export.model_copy(update={"parity_samples": 4}),
        }
    )


def unused(preset: str) -> list[str]:
    needs = PRESETS[preset].needs
    return [name for name in ("state", "instructions") if not getattr(needs, name)]


@pytest.mark.parametrize("preset", SMALL)
def test_it_is_trained_and_becomes_a_bundle_that_answers_like_torch(preset, workspace, project):
    params = told(project, preset)
    train(workspace, params)
    record = read_record(workspace.train / "seed-1", "checkpoint")
    assert (record.attrs["preset"], record.counts["steps"]) == (preset, 3)
    # Its graph is that of the policy that trained; exporting it as well would take as long again.
    shutil.rmtree(workspace.train / "untrained")
    export(workspace, params)

    policy, _, transforms = load_policy(workspace.train / "seed-1")
    bundle = load_bundle(workspace.bundles / "seed-1", expect=SAWYER_CELL)
    assert bundle.contract.kind == PRESETS[preset].kind
    assert (bundle.contract.preset, bundle.contract.flow_convention) == (preset, convention_of(policy))
    data = Dataset.open(workspace.dataset)
    images = {camera: data.images(0, camera) for camera in data.cameras}
    state = data.frames(0)["observation.state"]
    inputs = transforms.inputs(images, state, ["open the drawer"] * LENGTH)
    with torch.no_grad():
        expected = policy(*(torch.from_numpy(inputs[name]) for name in bundle.contract.inputs)).numpy()
    answered = bundle.session.run(inputs)
    assert answered.shape == (LENGTH, CHUNK, 4)
    np.testing.assert_allclose(answered, expected, atol=1e-4)
    # After three steps the likeliest bin may be the same for every frame.
    if bundle.contract.kind not in ("action_tokens", "parallel_bins"):
        assert np.ptp(answered, axis=0).max() > 0, "it answers the same to every observation"
    # For batches of 1, 2 and 3: the axis is free.
    assert read_json(workspace.bundles / "parity.json")["seed-1"] <= params.export.parity_max_abs
    assert bundle.record.counts["nodes"] < NODES


@pytest.mark.parametrize("preset", [name for name in SMALL if unused(name)])
def test_what_it_never_reads_has_to_be_said_first(preset, workspace, project):
    with pytest.raises(ParamsError, match=rf"preset {preset} never reads .*`unused: \["):
        load_inputs(workspace, told(project, preset, unused=[]))


def test_one_line_of_params_is_enough_for_dvc(project, dataset, tmp_path):
    """The stages as DVC runs them, in processes of their own, with another preset in params.yaml."""
    line = Line(make_workspace(project, tmp_path / "workspace"), project)
    workspace = line.workspace
    shutil.copytree(dataset, workspace.dataset)
    write_verdicts(workspace)
    path = workspace.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["train"] |= QUICK | {"preset": "oft-small"}
    params["export"]["parity_samples"] = 4
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    line.dvc("repro", "--single-item", "train", "export")
    bundle = load_bundle(workspace.bundles / "seed-1", expect=SAWYER_CELL)
    assert bundle.contract.preset == "oft-small"
    assert bundle.record.inputs == {"checkpoint": read_record(workspace.train / "seed-1", "checkpoint").digest}
    assert "didn't change" in line.dvc("repro", "--single-item", "train", "export")
