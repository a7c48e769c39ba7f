"""A dataset and its verdicts to checkpoints, through files and processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from train_world import write_dataset, write_verdicts

from components.core.errors import DatasetError, RecordError
from components.core.files import read_json, sha256_file, tree_manifest, write_json
from components.core.params import Params, load_params
from components.core.records import read_record
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.policy.checkpoint import load_policy
from components.train.augment import Augmentation
from components.train.data import TrainingStream, Windows
from components.train.inputs import BASES, load_inputs
from components.train.stage import run

NAMES = ("seed-1", "seed-2", "wordless", "blind", "untrained")
OVERVIEW = ("loss.csv", "metrics.json", "action_errors.csv", "curves.png", "looks")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    loaded = load_params(project / "params.yaml")
    loader = loaded.train.loader.model_copy(update={"run_frames": 4, "pool_windows": 16})
    small = {"steps": 4, "blind_steps": 3, "wordless_steps": 3, "batch_size": 8, "warmup_steps": 1, "seeds": (1, 2)}
    small |= {"chunk": 4, "loader": loader}
    return loaded.model_copy(update={"train": loaded.train.model_copy(update=small)})


@pytest.fixture
def workspace(tmp_path: Path, dataset: Path) -> Workspace:
    """A workspace whose dataset is shared; it must not be written to."""
    found = Workspace(tmp_path)
    found.data.mkdir()
    found.dataset.symlink_to(dataset)
    write_verdicts(found, refused=(4,))
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained-on") / "dataset"
    write_dataset(root)
    return root


def test_checkpoints_follow_from_files_and_not_from_the_number_of_processes(workspace, params, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    run(workspace, params)
    alone = tree_manifest(workspace.train)
    monkeypatch.setenv("GRIPLINE_WORKERS", "2")
    run(workspace, params)
    assert tree_manifest(workspace.train) == alone
    assert not list(workspace.data.glob(".train*"))
    digests = {name: read_record(workspace.train / name, "checkpoint").digest for name in NAMES}
    assert len(set(digests.values())) == 5
    journal = [line for line in workspace.journal.read() if line["event"] == "trained"]
    assert [line["name"] for line in journal] == [*NAMES, *NAMES]
    assert {line["checkpoint"] for line in journal} == set(digests.values())
    assert all(line["samples_per_s"] > 0 and 0 < line["data_share"] < 1 for line in journal if line["steps"])
    _assert_outputs(workspace, params)


def _assert_outputs(workspace: Workspace, params: Params) -> None:
    inputs = {
        "dataset": Dataset.open(workspace.dataset).digest,
        "verdicts": sha256_file(workspace.checks / "verdicts.parquet"),
    }
    for name in NAMES:
        record = read_record(workspace.train / name, "checkpoint")
        assert record.inputs == inputs
        assert record.params == params.train.model_dump(mode="json")
        episodes = pd.read_parquet(workspace.train / name / "episodes.parquet")
        assert sorted(episodes["source_uri"]) == ["0.mcap", "1.mcap", "2.mcap", "3.mcap"]
        assert set(episodes["split"]) == {"train"}
    _, config, transforms = load_policy(workspace.train / "blind")
    assert (config.blind, config.wordless) == (True, False)
    assert load_policy(workspace.train / "wordless")[1].wordless
    np.testing.assert_allclose(transforms.state.mean, [1.5] * 4, atol=0.1)
    assert "drawer" in transforms.tokens.vocabulary
    with (workspace.train / "loss.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["name"], row["step"]) for row in rows] == list(zip(NAMES, ["4", "4", "3", "3", "0"], strict=True))
    metrics = read_json(workspace.train / "metrics.json")
    assert {name: metrics[name]["val_loss"] for name in NAMES} == {row["name"]: float(row["val_loss"]) for row in rows}


def test_quarantined_and_held_out_episodes_are_not_trained_on(workspace, params):
    write_verdicts(workspace, refused=(0, 3, 6))
    inputs = load_inputs(workspace, params)
    assert sorted(inputs.episodes["source_uri"]) == ["1.mcap", "2.mcap", "4.mcap"]
    assert sorted(inputs.val.table(["source_uri"])["source_uri"]) == ["5.mcap", "7.mcap"]
    np.testing.assert_allclose(inputs.transforms.state.mean, [7 / 3] * 4, atol=0.1)
    # Words of refused or held-out episodes only are not learnt.
    assert "drawer" not in inputs.transforms.tokens.vocabulary


@pytest.mark.parametrize(("refused", "split"), [((0, 1, 2, 3, 4), "train"), ((5, 6, 7), "val")])
def test_no_accepted_episode_is_no_training(workspace, params, refused, split):
    write_verdicts(workspace, refused=refused)
    with pytest.raises(DatasetError, match=f"no accepted episode in split '{split}'"):
        run(workspace, params)
    assert not workspace.train.exists()


def test_verdicts_of_another_dataset_are_refused(workspace, params):
    write_verdicts(workspace, unjudged=(2, 6))
    with pytest.raises(RecordError, match="2 episodes of the dataset have no verdict"):
        run(workspace, params)


def test_missing_verdicts_are_named(workspace, params):
    (workspace.checks / "verdicts.parquet").unlink()
    with pytest.raises(RecordError, match=r"verdicts\.parquet: no such file"):
        run(workspace, params)


@pytest.mark.kill
def test_a_killed_training_leaves_no_process_and_the_next_run_completes_it(workspace, params, project):
    long = yaml.safe_load((project / "params.yaml").read_text())
    long["train"] |= params.train.model_dump(mode="json") | {
        "steps": 100_000,
        "blind_steps": 100_000,
        "wordless_steps": 0,
    }
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(long))
    command = [sys.executable, "-m", "components.train"]
    environment = {**os.environ, "GRIPLINE_WORKERS": "2", "PYTHONPATH": str(project)}
    with subprocess.Popen(command, cwd=workspace.root, env=environment, stderr=subprocess.PIPE, text=True) as training:
        children = _wait_until_it_trains(workspace, training)
        training.send_signal(signal.SIGKILL)
        training.wait()
    assert len(children) == 2
    _wait(lambda: not any(_runs(child) for child in children), "the workers are still there")
    assert not workspace.train.exists()
    run(workspace, params)
    assert {path.name for path in workspace.train.iterdir()} == {*NAMES, *OVERVIEW}
    assert not list(workspace.data.glob(".train*")), "what the killed run left is gone"


def _wait_until_it_trains(workspace: Workspace, training: subprocess.Popen) -> list[int]:
    def trains() -> bool:
        assert training.poll() is None, training.stderr.read() if training.stderr else ""
        return len(list(workspace.training.glob("*/*/metrics.jsonl"))) == 2

    _wait(trains, "no metrics were written")
    text = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def _wait(condition, otherwise: str, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_condition_chooses_the_episodes(workspace, params):
    only = params.train.model_copy(update={"where": "instruction like '%drawer%' or split = 'val'"})
    inputs = load_inputs(workspace, params.model_copy(update={"train": only}))
    assert sorted(inputs.episodes["source_uri"]) == ["0.mcap", "3.mcap"]
    nothing = params.train.model_copy(update={"where": "split = 'val'"})
    with pytest.raises(DatasetError, match=r"no accepted episode in split 'train'.*change .*train.where"):
        load_inputs(workspace, params.model_copy(update={"train": nothing}))


def test_no_condition_reaches_across_the_split_or_past_a_verdict(workspace, params):
    for where in ("true) or (true", "split = 'val' or true", "true -- all of them"):
        asked = params.train.model_copy(update={"where": where})
        inputs = load_inputs(workspace, params.model_copy(update={"train": asked}))
        assert sorted(inputs.episodes["source_uri"]) == ["0.mcap", "1.mcap", "2.mcap", "3.mcap"]
        assert sorted(inputs.val.table(["source_uri"])["source_uri"]) == ["5.mcap", "6.mcap", "7.mcap"]


def test_frames_come_from_the_cache_or_from_video_and_the_checkpoints_are_the_same(workspace, params):
    run(workspace, params)
    cached = tree_manifest(workspace.train)
    entries = [path.name for path in workspace.frame_cache.glob("*/*.npy")]
    assert sorted(entries) == sorted(["images.npy", "state.npy", "action.npy"] * 2)
    run(workspace, params.model_copy(update={"cache": params.cache.model_copy(update={"frames_gb": 0.0})}))
    assert tree_manifest(workspace.train) == cached


def test_statistics_of_a_base_checkpoint_take_the_place_of_the_datas_own(workspace, params):
    base = {"norm_stats": {"state": {"mean": [0.5] * 4, "std": [2.0] * 4, "q01": [-4.0] * 4, "q99": [5.0] * 4}}}
    write_json(workspace.robots / BASES / "norm_stats.json", base)
    with_base = params.train.model_copy(update={"base_statistics": "norm_stats.json"})
    run(workspace, params.model_copy(update={"train": with_base}))
    _, _, transforms = load_policy(workspace.train / "seed-1")
    assert transforms.state.mean == (0.5,) * 4
    assert transforms.state.std == (2.0,) * 4
    inputs = read_record(workspace.train / "seed-1", "checkpoint").inputs
    assert set(inputs) == {"dataset", "verdicts", "base_statistics"}
    assert read_json(workspace.train / "base_statistics.json")["verdict"] in ("fits", "shifted")
    assert "observation.state" in (workspace.train / "base_statistics.md").read_text()


QUALITY = {0: 0.9, 1: 0.2, 2: 0.5}


def weighted(params: Params, exponent: float, **changes: object) -> Params:
    train = params.train.model_copy(update={"quality_weight": exponent, **changes})
    return params.model_copy(update={"train": train})


def test_the_loss_of_a_step_is_that_of_windows_weighted_by_quality(workspace, params):
    """Episode 3 has no quality, so it counts 1; episodes are equally long, so the others' mean is that of three."""
    write_verdicts(workspace, refused=(4,), quality=QUALITY)
    asked = weighted(params, 2.0, steps=1, blind_steps=1, wordless_steps=0, seeds=(1,))
    run(workspace, asked)
    inputs = load_inputs(workspace, asked)
    mean = sum(value**2 for value in QUALITY.values()) / len(QUALITY)
    weight_of = {number: QUALITY[number] ** 2 / mean if number in QUALITY else 1.0 for number in range(4)}
    _, config, _ = load_policy(workspace.train / "seed-1")
    torch.manual_seed(1)
    policy = config.build()
    with inputs.train.loader(asked.train, seed=1) as loader:
        rows = inputs.episodes["source_uri"].iloc[loader.batch(0, 8)["episode"]]
        stream = TrainingStream(
            Windows(loader, inputs.transforms), Augmentation.of(asked.train), seed=1, steps=1, batch_size=8
        )
        batch = stream.batch(0)
    weights = np.array([weight_of[int(name.removesuffix(".mcap"))] for name in rows])
    assert len(set(weights)) > 1
    with torch.no_grad():
        error = (policy(batch["images"], batch["state"], batch["tokens"]) - batch["actions"]).abs().double().numpy()
    beta, mask = asked.train.huber_beta, batch["mask"].numpy()
    each = np.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta) * mask[:, :, None]
    expected = (each.sum(axis=(1, 2)) * weights).sum() / (mask.sum() * 4)
    with (workspace.train / "loss.csv").open() as stream_of_rows:
        (found,) = [float(row["loss"]) for row in csv.DictReader(stream_of_rows) if row["name"] == "seed-1"]
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(each.sum() / (mask.sum() * 4), rel=1e-3)


def test_quality_changes_nothing_until_it_is_asked_for(workspace, params):
    def weights() -> dict[str, str]:
        return {name: sha256_file(workspace.train / name / "model.safetensors") for name in NAMES}

    run(workspace, params)
    plain = weights()
    write_verdicts(workspace, refused=(4,), quality=QUALITY)
    assert load_inputs(workspace, params).weights is None
    run(workspace, params)
    assert weights() == plain
    run(workspace, weighted(params, 1.0))
    changed = weights()
    assert [name for name in NAMES if changed[name] == plain[name]] == ["untrained"]


def test_a_condition_on_quality_chooses_the_episodes(workspace, params):
    write_verdicts(workspace, refused=(4,), quality=QUALITY | {5: 0.9})
    asked = weighted(params, 1.0, where="quality >= 0.3 and verdict = 'accepted'")
    inputs = load_inputs(workspace, asked)
    assert sorted(inputs.episodes["source_uri"]) == ["0.mcap", "2.mcap"]
    assert inputs.val.table(["source_uri"])["source_uri"].tolist() == ["5.mcap"]
    assert sorted(inputs.weights) == pytest.approx([0.5 / 0.7, 0.9 / 0.7], rel=1e-6)


def test_weights_without_a_quality_are_refused(workspace, params):
    with pytest.raises(RecordError, match=r"no training episode has a quality above 0\. Run the stage check again"):
        run(workspace, weighted(params, 1.0))
    assert not workspace.train.exists()
