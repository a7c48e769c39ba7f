"""What the trainer is told: precision and compilation."""

from __future__ import annotations

from functools import partialmethod

import pytest
import torch
from torch import nn

from components.core.errors import ComponentError
from components.core.train_params import Checkpoints
from components.policy.checkpoint import load_policy
from components.train.jobs import Job
from components.train.train import train_one

COMPILE = nn.Module.compile


def test_bf16_learns_as_float32_does(inputs, params, tmp_path):
    """The mean loss over the run: single steps differ, and which minimum is found in the end is chance."""
    losses = {}
    for precision in ("fp32", "bf16"):
        changed = params.model_copy(update={"precision": precision, "shift_px": 0})
        losses[precision] = train_one(Job("s", 1, 200), inputs, changed, tmp_path / precision).validations[-1]["loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]
    policy, _, _ = load_policy(tmp_path / "bf16")
    assert {weight.dtype for weight in policy.parameters()} == {torch.float32}


def test_a_compiled_policy_is_saved_as_a_plain_one(inputs, params, tmp_path, monkeypatch):
    """With the graph captured and run as it is: code for a processor takes minutes to make."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(COMPILE, backend="eager"))
    changed = params.model_copy(update={"checkpoints": Checkpoints(every=2, keep_best=1), "ema_decay": 0.5})
    plain = train_one(Job("seed-1", 1, 4), inputs, changed, tmp_path / "plain")
    compiled = train_one(
        Job("seed-1", 1, 4), inputs, changed.model_copy(update={"compile": True}), tmp_path / "compiled"
    )
    assert compiled.digest == plain.digest
    load_policy(tmp_path / "compiled" / "best" / f"step-{compiled.validations[-1]['step']:06d}")


def test_a_compiler_that_does_not_work_is_a_missing_component(inputs, params, tmp_path, monkeypatch):
    def broken(graph, example):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(nn.Module, "compile", partialmethod(COMPILE, backend=broken))
    with pytest.raises(
        ComponentError, match=r"torch\.compile cannot compile the policy: .*set train\.compile to false"
    ):
        train_one(Job("s", 1, 2), inputs, params.model_copy(update={"compile": True}), tmp_path)
    torch.compiler.reset()
