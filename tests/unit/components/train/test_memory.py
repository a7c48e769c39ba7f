from __future__ import annotations

import pytest
import torch

from components.core.errors import StageFailed
from components.train.jobs import Job
from components.train.memory import memory_explained
from components.train.module import PolicyTraining
from components.train.train import train_one


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_says_which_settings_to_lower(params, error):
    expected = r"no memory left for gripline-tiny with a batch of 16: .*train.batch_size 8 with train.accumulate 2, " \
        r".*train.precision bf16; train.loader.pool_windows below 240; .*image_px below 96"  # fmt: skip
    with pytest.raises(StageFailed, match=expected) as found, memory_explained(params, 96):
        raise error
    assert found.value.exit_code == 4


def test_what_is_lowered_already_is_not_proposed(params):
    low = params.model_copy(update={"batch_size": 1, "precision": "bf16"})
    with pytest.raises(StageFailed, match=r"Try, in this order: train.loader"), memory_explained(low, 96):
        raise MemoryError


def test_a_batch_that_has_no_half_is_not_halved(params):
    odd = params.model_copy(update={"batch_size": 15})
    expected = r"train.batch_size below 15, a multiple of loader.lanes 1;"
    with pytest.raises(StageFailed, match=expected), memory_explained(odd, 96):
        raise MemoryError


def test_other_errors_pass(params):
    with pytest.raises(RuntimeError, match="shapes"), memory_explained(params, 96):
        raise RuntimeError("shapes do not fit")


def test_a_batch_beyond_any_memory_ends_the_job_so(inputs, params, tmp_path, monkeypatch):
    def greedy(self, batch, batch_idx):
        return torch.empty(1 << 60)

    monkeypatch.setattr(PolicyTraining, "training_step", greedy)
    with pytest.raises(StageFailed, match="no memory left for gripline-tiny with a batch of 16"):
        train_one(Job("seed-1", 1, 2), inputs, params, tmp_path)
