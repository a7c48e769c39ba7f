"""What a job goes on from: interrupted anywhere, it ends with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.errors import RecordError
from components.core.files import read_json, tree_manifest
from components.core.train_params import Checkpoints
from components.policy.checkpoint import load_policy
from components.train.callbacks import Metrics
from components.train.checkpoint_io import read_state
from components.train.jobs import Job
from components.train.states import KEPT, STATES, prepare, step_of
from components.train.train import train_one

EVERY, STEPS, ACCUMULATE = 3, 10, 2
JOB = Job("seed-1", 1, STEPS)


class _Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def remembering(params):
    """Params under which as much as possible has a memory between steps."""
    checkpoints = Checkpoints(every=EVERY, keep_best=2, use="best")
    few = {"batch_size": 4, "ema_decay": 0.7, "accumulate": ACCUMULATE, "checkpoints": checkpoints, "precision": "bf16"}
    return params.model_copy(update=few)


@pytest.fixture(scope="module")
def whole(inputs, remembering, tmp_path_factory) -> dict[str, str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train_one(JOB, inputs, remembering, folder)
    return manifest(folder)


def manifest(folder: Path) -> dict[str, str]:
    """Without what never leaves the work folder: states, and lines that hold times."""
    outside = (STATES, "speed.jsonl")
    return {name: digest for name, digest in tree_manifest(folder).items() if not name.startswith(outside)}


def train_until(batch: int, inputs, params, folder: Path) -> None:
    """Ends in the middle of a step, after metrics of it were written."""
    before = Metrics.on_train_batch_end

    def stopping(self, trainer, pl_module, outputs, data, batch_idx):
        before(self, trainer, pl_module, outputs, data, batch_idx)
        if batch_idx == batch:
            raise _Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metrics, "on_train_batch_end", stopping)
        with pytest.raises(_Stopped):
            train_one(JOB, inputs, params, folder)


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, STEPS * ACCUMULATE - 1), min_size=1, max_size=2))
def test_stopped_anywhere_it_ends_with_the_same_bytes(inputs, remembering, whole, tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("stopped")
    # A run that goes on never sees the batches before its state again.
    for stop in sorted(stops):
        train_until(stop, inputs, remembering, folder)
    train_one(JOB, inputs, remembering, folder)
    assert manifest(folder) == whole
    assert [step_of(path) for path in sorted((folder / STATES).iterdir())] == [6, 9]
    assert len(list((folder / STATES).iterdir())) == KEPT


def test_a_damaged_state_is_named_and_the_one_before_it_is_taken(inputs, remembering, whole, tmp_path, caplog):
    train_until(STEPS * ACCUMULATE - 1, inputs, remembering, tmp_path)
    newest = tmp_path / STATES / "step-000009" / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    train_one(JOB, inputs, remembering, tmp_path)
    assert "step-000009: not a whole state of a training run" in caplog.text
    assert manifest(tmp_path) == whole


def test_metrics_that_are_shorter_than_a_state_says_are_refused(inputs, remembering, tmp_path):
    train_until(STEPS * ACCUMULATE - 1, inputs, remembering, tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(RecordError, match=r"metrics\.jsonl: 0 bytes, expected at least \d+\. Remove its folder"):
        train_one(JOB, inputs, remembering, tmp_path)


def test_weights_averages_and_optimiser_are_kept_in_float32(inputs, remembering, tmp_path):
    train_until(STEPS * ACCUMULATE - 1, inputs, remembering, tmp_path)
    state = read_state(tmp_path / STATES / "step-000009")
    (optimizer,) = state["optimizer_states"]
    kept = [*state["state_dict"].values(), *state["current_model_state"].values()]
    kept += [tensor for one in optimizer["state"].values() for tensor in one.values()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}
    assert state["global_step"] == 9
    assert state["loops"]["fit_loop"]["state_dict"]["combined_loader"] == [{"done": 9 * ACCUMULATE}]
    assert any(
        not torch.equal(average, state["current_model_state"][name]) for name, average in state["state_dict"].items()
    )


def test_a_folder_is_made_ready(tmp_path):
    assert prepare(tmp_path / "new") is None
    for name in ("model.safetensors", "metrics.jsonl", ".model.safetensors.x1"):
        (tmp_path / "new" / name).write_text("left by a killed run")
    (tmp_path / "new" / STATES / ".step-000003.partial-1").mkdir(parents=True)
    assert prepare(tmp_path / "new") is None
    assert list((tmp_path / "new").iterdir()) == []


def test_the_best_policies_are_ordinary_checkpoints_and_the_best_is_the_policy(inputs, remembering, tmp_path):
    one = train_one(JOB, inputs, remembering, tmp_path)
    errors = {row["step"]: row["val_action_error"] for row in one.validations}
    best = sorted(errors, key=lambda step: (errors[step], step))
    assert one.policy_step == best[0]
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [f"step-{s:06d}" for s in sorted(best[:2])]
    for step in best[:2]:
        folder = tmp_path / "best" / f"step-{step:06d}"
        assert read_json(folder / "metrics.json")["val_action_error"] == errors[step]
    policy, _, _ = load_policy(tmp_path)
    kept, _, _ = load_policy(tmp_path / "best" / f"step-{best[0]:06d}")
    assert all(torch.equal(tensor, kept.state_dict()[name]) for name, tensor in policy.state_dict().items())
    record = read_json(tmp_path / "record.json")
    assert record["counts"]["val_action_error"] == errors[best[0]]
    assert (record["counts"]["steps"], record["attrs"]["ended_at"]) == (best[0], STEPS)


def test_training_ends_early_where_nothing_gets_better(inputs, params, tmp_path):
    stuck = {"learning_rate": 1e-12, "early_stop": 2, "checkpoints": Checkpoints(every=2)}
    one = train_one(Job("blind", 1, 40, blind=True), inputs, params.model_copy(update=stuck), tmp_path)
    assert one.ended_by == "early stop"
    assert one.steps == one.validations[-1]["step"] < 40
    assert read_json(tmp_path / "record.json")["attrs"]["ended_at"] == one.steps


def test_what_is_validated_and_saved_is_the_average(inputs, params, tmp_path):
    """With a decay of almost 1 the average stays at the first step, so that later steps change nothing."""
    slow = params.model_copy(update={"ema_decay": 1 - 1e-9, "checkpoints": Checkpoints(every=1), "learning_rate": 0.01})
    one = train_one(Job("blind", 1, 4, blind=True), inputs, slow, tmp_path / "slow")
    losses = [row["val_loss"] for row in one.validations]
    assert losses[1:] == pytest.approx([losses[0]] * 3, rel=1e-6)
    plain = train_one(
        Job("blind", 1, 4, blind=True), inputs, slow.model_copy(update={"ema_decay": 0.0}), tmp_path / "plain"
    )
    assert abs(plain.validations[-1]["val_loss"] - losses[0]) > 1e-4
