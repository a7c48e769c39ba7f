"""Several robots in one run, a base of another robot, and quantiles: from datasets to bundles, through files."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.bundle.bundle import load_bundle
from components.core.errors import ContractError, DatasetError, RecordError
from components.core.files import read_json, read_lines, sha256_file, tree_manifest, write_json
from components.core.params import Params, Video, load_params
from components.core.records import read_record
from components.core.spec import SAWYER_CELL, Embodiment
from components.core.train_params import MixtureSource, Normalise, Pinned
from components.core.workspace import Workspace
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.export.export import run as export
from components.policy.checkpoint import load_policy
from components.train.inputs import BASES, load_inputs
from components.train.stage import run

SEEN = replace(SAWYER_CELL.observation, image_px=32)
CELL = replace(SAWYER_CELL, observation=SEEN)
# Other widths and one camera.
ARM = replace(
    SAWYER_CELL,
    name="arm",
    observation=replace(SEEN, cameras=("wrist",), state=(*SEEN.state, *SEEN.kept), kept=()),
    action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
)
LENGTH = 12


def write_dataset(
    root: Path, body: Embodiment, first: int, words: tuple[str, ...], fps: int = 20, held_out: int = 2
) -> Path:
    """Six episodes from number `first` on, the last of them held out; state i is i + noise."""
    rng = np.random.default_rng(first)
    width, sides = len(body.observation.state_names), {}
    with DatasetWriter(root, body, fps, Video(codec="h264", crf=18, gop=2, pix_fmt="yuv420p")) as writer:
        for number in range(first, first + 6):
            name = hashlib.sha256(bytes([number])).hexdigest()
            sides[name] = "val" if number >= first + 6 - held_out else "train"
            row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": body.name, "source_uri": f"{number}.mcap"}
            shape = (LENGTH, 32, 32, 3)
            images = {camera: rng.integers(0, 256, shape, dtype=np.uint8) for camera in body.observation.cameras}
            state = (number + rng.normal(0, 0.1, (LENGTH, width))).astype(np.float32)
            action = rng.uniform(-0.5, 0.5, (LENGTH, body.action.dim)).astype(np.float32)
            told = words[number % len(words)]
            frames = EpisodeFrames(name, "task", told, images, state, action, np.arange(LENGTH) / fps, row)
            writer.add_frames(frames)
        writer.close(sides)
    return root


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("datasets")
    return {
        "own": write_dataset(root / "own", CELL, 0, ("open the drawer", "press the button")),
        "more": write_dataset(root / "more", CELL, 20, ("pull the handle",)),
        "arm": write_dataset(root / "arm", ARM, 40, ("close the lid",)),
        "slow": write_dataset(root / "slow", ARM, 60, ("close the lid",), fps=10),
    }


@pytest.fixture
def workspace(tmp_path, datasets) -> Workspace:
    found = Workspace(tmp_path)
    found.data.mkdir()
    found.dataset.symlink_to(datasets["own"])
    found.checks.mkdir()
    rows = [{"episode_id": name, "verdict": "accepted", "codes": []} for name in _ids(datasets["own"])]
    pd.DataFrame(rows).to_parquet(found.checks / "verdicts.parquet", index=False)
    return found


def _ids(root: Path) -> list[str]:
    return list(Dataset.open(root).episodes["episode_id"])


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    loaded = load_params(project / "params.yaml")
    loader = loaded.train.loader.model_copy(update={"run_frames": 4, "pool_windows": 24})
    small = {
        "steps": 4,
        "blind_steps": 2,
        "wordless_steps": 0,
        "batch_size": 12,
        "warmup_steps": 1,
        "seeds": (1,),
        "chunk": 4,
    }
    train = loaded.train.model_copy(update={**small, "loader": loader})
    export_ = loaded.export.model_copy(update={"parity_samples": 4})
    return loaded.model_copy(update={"train": train, "export": export_})


def changed(params: Params, **changes: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=changes)})


def source(root: Path, **more: object) -> MixtureSource:
    return MixtureSource(path=str(root), sha256=Dataset.open(root).digest, **more)


def test_two_robots_in_one_run_become_checkpoints_and_bundles_of_each(workspace, params, datasets):
    asked = changed(params, mixture=(source(datasets["arm"], weight=2.0), source(datasets["more"])))
    run(workspace, asked)
    names = {path.parent.name for path in workspace.train.glob("*/record.json")}
    assert names == {"seed-1", "blind", "untrained", "seed-1@arm", "blind@arm", "untrained@arm"}
    _assert_trunk_shared_and_edges_fitted_apart(workspace)
    own, other = (read_record(workspace.train / name, "checkpoint") for name in ("seed-1", "seed-1@arm"))
    assert other.attrs == own.attrs | {"name": "seed-1@arm", "trunk": "seed-1"}
    digests = {"mixture-1": Dataset.open(datasets["arm"]).digest, "mixture-2": Dataset.open(datasets["more"]).digest}
    assert (
        own.inputs
        == other.inputs
        == {"dataset": Dataset.open(datasets["own"]).digest, **digests}
        | {"verdicts": sha256_file(workspace.checks / "verdicts.parquet")}
    )
    assert own.counts["episodes"] == len(pd.read_parquet(workspace.train / "seed-1@arm" / "episodes.parquet")) == 12
    last = read_lines(workspace.train / "seed-1" / "metrics.jsonl")[-1]
    by_robot = {name: last[f"val_loss.{name}"] for name in ("arm", "sawyer-cell")}
    assert min(by_robot.values()) < last["val_loss"] < max(by_robot.values())
    before = tree_manifest(workspace.train)
    run(workspace, asked)
    assert tree_manifest(workspace.train) == before
    export(workspace, asked)
    assert set(read_json(workspace.bundles / "parity.json")) == names
    bundle = load_bundle(workspace.bundles / "seed-1@arm", expect=ARM)
    assert bundle.warm_up() <= asked.export.parity_max_abs
    assert bundle.act({"wrist": np.zeros((1, 32, 32, 3), np.uint8)}, np.zeros((1, 11)), ["close the lid"]).shape == (
        1, 4, 3,
    )  # fmt: skip


def _assert_trunk_shared_and_edges_fitted_apart(workspace: Workspace) -> None:
    own, _, transforms = load_policy(workspace.train / "seed-1")
    other, _, others = load_policy(workspace.train / "seed-1@arm")
    assert torch.equal(own.head.middle.weight, other.head.middle.weight)
    assert torch.equal(own.eyes["camera_wrist"].points.heat.weight, other.eyes["camera_wrist"].points.heat.weight)
    assert transforms.tokens == others.tokens
    assert {"drawer", "handle", "lid"} <= set(transforms.tokens.vocabulary)
    # Numbers 0-3 and 20-23 of the one robot, 40-43 of the other.
    np.testing.assert_allclose(transforms.state.mean, [11.5] * 4, atol=0.1)
    np.testing.assert_allclose(others.state.mean, [41.5] * 11, atol=0.1)


def test_weights_decide_how_much_of_each_source_is_seen(workspace, params, datasets):
    asked = changed(params, mixture=(source(datasets["more"], weight=3.0),), own_weight=1.0)
    inputs = load_inputs(workspace, asked)
    assert inputs.others == ()
    with inputs.train.loader(asked.train) as loader:
        seen = loader.batch(0, 960)["source"]
    assert np.bincount(seen) == pytest.approx([240, 720], abs=24)
    assert inputs.val.weights is None
    assert len(inputs.val.table(["episode_id"])) == 4


def test_verdicts_of_a_source_choose_its_episodes(workspace, params, datasets):
    ids = _ids(datasets["more"])
    judged = [{"episode_id": name, "verdict": "quarantined" if n == 1 else "accepted"} for n, name in enumerate(ids)]
    pd.DataFrame([row | {"codes": []} for row in judged]).to_parquet(workspace.root / "more.parquet", index=False)
    asked = changed(params, mixture=(source(datasets["more"], verdicts="more.parquet"),))
    inputs = load_inputs(workspace, asked)
    assert ids[1] not in set(inputs.episodes["episode_id"])
    assert len(inputs.episodes) == 7
    assert inputs.digests["mixture-1-verdicts"] == sha256_file(workspace.root / "more.parquet")


def test_a_source_that_is_not_what_was_named_is_refused(workspace, params, datasets):
    wrong = MixtureSource(path=str(datasets["more"]), sha256="0" * 64)
    with pytest.raises(DatasetError, match=r"its digest is .*, train\.mixture says 000000000000"):
        load_inputs(workspace, changed(params, mixture=(wrong,)))


def test_held_out_episodes_are_not_trained_on_by_a_back_door(workspace, params, datasets, tmp_path):
    """The same episodes, split another way."""
    again = write_dataset(tmp_path / "again", CELL, 2, ("open the drawer",))
    with pytest.raises(DatasetError, match="2 held-out episodes are trained on by way of another dataset"):
        load_inputs(workspace, changed(params, mixture=(source(again),)))


def test_a_source_without_held_out_episodes_is_trained_on_and_said_to_validate_nothing(
    workspace, params, tmp_path, caplog
):
    """Its robot is wider than all that validates."""
    root = write_dataset(tmp_path / "all", ARM, 90, ("close the lid",), held_out=0)
    asked = changed(params, mixture=(source(root),), blind_steps=0, wordless_steps=0)
    with caplog.at_level(logging.WARNING):
        run(workspace, asked)
    assert "no held-out episode, it adds nothing to validation" in caplog.text
    last = read_lines(workspace.train / "seed-1" / "metrics.jsonl")[-1]
    assert {name for name in last if name.startswith("val_loss")} == {"val_loss", "val_loss.sawyer-cell"}
    nothing = write_dataset(tmp_path / "none", ARM, 100, ("close the lid",), held_out=6)
    with pytest.raises(DatasetError, match="none: no accepted episode to train on"):
        load_inputs(workspace, changed(params, mixture=(source(nothing),)))


def test_datasets_of_different_rates_are_named(workspace, params, datasets, caplog):
    with caplog.at_level(logging.WARNING):
        load_inputs(workspace, changed(params, mixture=(source(datasets["slow"]),)))
    assert "different rates in one mixture: dataset 20 Hz, slow 10 Hz" in caplog.text


def test_two_descriptions_of_one_robot_are_refused(workspace, params, tmp_path):
    other = replace(CELL, observation=replace(SEEN, state=SEEN.state[:1]))
    odd = write_dataset(tmp_path / "odd", other, 80, ("open the drawer",))
    with pytest.raises(ContractError, match=r"sawyer-cell\.observation\.state is"):
        load_inputs(workspace, changed(params, mixture=(source(odd),)))


def _base(workspace: Workspace, params: Params, name: str = "base") -> Pinned:
    """A checkpoint of the workspace's own robot, kept aside."""
    run(workspace, params)
    target = workspace.root / name
    (workspace.train / "seed-1").rename(target)
    return Pinned(path=name, sha256=read_record(target, "checkpoint").digest)


def test_training_begins_from_a_checkpoint_of_another_robot(workspace, params, datasets):
    base = _base(workspace, params)
    workspace.dataset.unlink()
    workspace.dataset.symlink_to(datasets["arm"])
    rows = [{"episode_id": name, "verdict": "accepted", "codes": []} for name in _ids(datasets["arm"])]
    pd.DataFrame(rows).to_parquet(workspace.checks / "verdicts.parquet", index=False)
    asked = changed(params, start_from=base, chunk=6)
    run(workspace, asked)
    report = read_json(workspace.train / "seed-1" / "start_from.json")
    assert report["checkpoint"] == base.sha256
    assert report["embodiment"] == "sawyer-cell"
    assert report["words"]["new"] == ["close", "lid"]
    assert "head.middle.weight" in report["taken"]
    assert set(report["fresh"]) == {"head.first.sources.state.weight", "head.last.weight", "head.last.bias"}
    assert "eyes.camera_fixed.points.heat.weight" in report["left_over"]
    assert read_record(workspace.train / "seed-1", "checkpoint").inputs["start_from"] == base.sha256
    assert not (workspace.train / "untrained" / "start_from.json").exists()
    _, config, transforms = load_policy(workspace.train / "seed-1")
    assert (config.embodiment, config.chunk) == (ARM, 6)
    assert transforms.tokens.vocabulary[-2:] == ("close", "lid")
    assert "drawer" in transforms.tokens.vocabulary


def test_the_first_step_starts_at_the_base_for_the_same_robot(workspace, params):
    """A step that moves nothing leaves the base as it was."""
    base = _base(workspace, params)
    run(workspace, changed(params, start_from=base, steps=1, learning_rate=1e-30, weight_decay=0.0))
    before, after = (
        load_policy(folder)[0].state_dict() for folder in (workspace.root / "base", workspace.train / "seed-1")
    )
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-12)


def test_a_base_that_is_not_what_was_named_is_refused(workspace, params):
    base = _base(workspace, params)
    with pytest.raises(RecordError, match=r"its digest is .*, train\.start_from says 000000000000"):
        load_inputs(workspace, changed(params, start_from=Pinned(path=base.path, sha256="0" * 64)))
    with pytest.raises(ContractError, match="preset is 'gripline-tiny', expected 'act-small'"):
        load_inputs(workspace, changed(params, start_from=base, preset="act-small", unused=("instructions",)))


def test_quantiles_of_a_base_take_the_place_of_the_datas_own(workspace, params):
    state = {"mean": [0.0] * 4, "std": [1.0] * 4, "q01": [-9.0] * 4, "q99": [9.0] * 4}
    base = {"norm_stats": {"state": state, "actions": {**state, "q01": [-0.2] * 4, "q99": [0.2] * 4}}}
    write_json(workspace.robots / BASES / "base.json", base)
    how = Normalise(state="q01_q99", actions="q01_q99")
    found = load_inputs(workspace, changed(params, base_statistics="base.json", normalise=how)).transforms
    assert (found.state.low, found.state.high) == ((-9.0,) * 4, (9.0,) * 4)
    assert found.actions.low == (-0.2, -0.2, -0.2, -1.0)


def test_quantiles_of_the_data_reach_the_bundle(workspace, params):
    asked = changed(params, normalise=Normalise(state="q01_q99", actions="q01_q99"))
    run(workspace, asked)
    export(workspace, asked)
    bundle = load_bundle(workspace.bundles / "seed-1", expect=CELL)
    low, high = np.array(bundle.transforms.actions.low), np.array(bundle.transforms.actions.high)
    assert (np.abs(low[:3]) < 0.51).all()
    assert (high[:3] < 0.51).all()
    assert (low[3], high[3]) == (-1.0, 1.0), "a gripper keeps its limits"
    assert bundle.warm_up() <= asked.export.parity_max_abs
