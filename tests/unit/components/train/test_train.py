from __future__ import annotations

import pandas as pd
import pytest
import torch

from components.core.files import read_lines, sha256_file, tree_manifest
from components.core.records import read_record
from components.core.train_params import Checkpoints
from components.policy.attention import Attention
from components.policy.checkpoint import checkpoint_digest, load_policy
from components.train.callbacks import LOG_EVERY
from components.train.jobs import Job
from components.train.train import train_one


def test_learns_to_look_and_a_blind_policy_cannot(inputs, params, tmp_path):
    changed = params.model_copy(update={"learning_rate": 3e-3, "shift_px": 0})
    seeing = train_one(Job("seed-1", 1, 150), inputs, changed, tmp_path / "seed-1")
    blind = train_one(Job("blind", 1, 150, blind=True), inputs, changed, tmp_path / "blind")
    untrained = train_one(Job("untrained", 1, 0), inputs, changed, tmp_path / "untrained")
    losses = [one.validations[-1]["val_loss"] for one in (seeing, blind, untrained)]
    assert losses[0] < 0.5 * losses[1]
    assert losses[0] < 0.5 * losses[2]


def test_writes_what_its_record_says(inputs, params, tmp_path):
    done = train_one(Job("seed-1", 1, 3), inputs, params, tmp_path)
    record = read_record(tmp_path, "checkpoint")
    assert record.digest == done.digest == checkpoint_digest(tmp_path)
    assert record.inputs == inputs.digests
    assert record.params == params.model_dump(mode="json")
    assert record.counts["episodes"] == 24
    assert record.attrs == {
        "name": "seed-1",
        "seed": 1,
        "blind": False,
        "wordless": False,
        "preset": "gripline-tiny",
        "ended_at": 3,
        "ended_by": "all steps",
    }
    assert record.counts["val_action_error"] == done.validations[-1]["val_action_error"] > 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "episodes.parquet"), inputs.episodes)
    module, config, transforms = load_policy(tmp_path)
    assert (config.chunk, config.blind, transforms) == (4, False, inputs.transforms)
    assert all(torch.isfinite(weight).all() for weight in module.parameters())


def test_metrics_are_written_as_it_trains_and_hold_no_time(inputs, params, tmp_path):
    done = train_one(Job("blind", 1, 2 * LOG_EVERY, blind=True), inputs, params, tmp_path)
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [LOG_EVERY, 2 * LOG_EVERY, 2 * LOG_EVERY]
    assert {name for line in lines for name in line} == {"step", "loss", "learning_rate", "grad_norm", "val_loss"} | {
        "val_action_error"
    }
    assert lines[0]["learning_rate"] > lines[1]["learning_rate"] == 0.0
    assert done.validations == [lines[-1]]
    assert lines[-1]["loss"] == pytest.approx((lines[0]["loss"] + lines[1]["loss"]) / 2)


def test_validates_on_the_way(inputs, params, tmp_path):
    often = params.model_copy(update={"checkpoints": Checkpoints(every=5)})
    done = train_one(Job("blind", 1, 13, blind=True), inputs, often, tmp_path)
    assert [row["step"] for row in done.validations] == [5, 10, 13]


def test_the_same_job_gives_the_same_bytes(inputs, params, tmp_path):
    torch.use_deterministic_algorithms(True)
    try:
        for name in ("one", "two"):
            torch.manual_seed(999)  # whatever the process drew before
            train_one(Job("seed-1", 1, 5), inputs, params, tmp_path / name)
        train_one(Job("seed-2", 2, 5), inputs, params, tmp_path / "other")
    finally:
        torch.use_deterministic_algorithms(False)
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")
    weights = [sha256_file(tmp_path / name / "model.safetensors") for name in ("one", "other")]
    assert weights[0] != weights[1]


def test_zero_steps_leave_the_weights_as_drawn(inputs, params, tmp_path):
    done = train_one(Job("untrained", 1, 0), inputs, params, tmp_path)
    module, config, _ = load_policy(tmp_path)
    torch.manual_seed(1)
    drawn = config.build().state_dict()
    assert all(torch.equal(weight, drawn[name]) for name, weight in module.state_dict().items())
    assert done.validations[-1]["step"] == 0


def test_act_trains_too_and_the_kernel_of_attention_is_no_part_of_it(inputs, params, tmp_path):
    changed = params.model_copy(update={"preset": "act-small", "batch_size": 4, "attention": "eager"})
    done = train_one(Job("seed-1", 1, 2), inputs, changed, tmp_path)
    module, config, _ = load_policy(tmp_path)
    assert (config.preset, done.digest) == ("act-small", checkpoint_digest(tmp_path))
    assert {part.kernel for part in module.modules() if isinstance(part, Attention)} == {"sdpa"}
    torch.manual_seed(1)
    drawn = config.build().state_dict()
    assert any(not torch.equal(weight, drawn[name]) for name, weight in module.state_dict().items())
