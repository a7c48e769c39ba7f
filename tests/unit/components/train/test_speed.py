from __future__ import annotations

import io
import logging
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from tqdm import tqdm

from components.core.errors import ParamsError
from components.core.files import read_lines, tree_manifest
from components.train.callbacks import LOG_EVERY, Progress
from components.train.jobs import Job
from components.train.peak import PEAK_VARIABLE, peak_flops, peak_of
from components.train.speed import Throughput
from components.train.train import train_one

ROWS, WIDE, OUT = 8, 16, 4


class Linear(torch.nn.Module):
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(WIDE, OUT, bias=False)


def drive(throughput: Throughput, steps: int, *, wait_s: float = 0.0) -> None:
    """The calls of a trainer, `wait_s` before each batch."""
    module, trainer, batch = Linear(), SimpleNamespace(global_step=0), {}
    throughput.on_train_start(trainer, module)
    for step in range(steps):
        time.sleep(wait_s)
        throughput.on_train_batch_start(trainer, module, batch, step)
        module.layer(torch.ones(ROWS, WIDE)).sum().backward()
        throughput.on_after_backward(trainer, module)
        trainer.global_step = step + 1
        throughput.on_train_batch_end(trainer, module, None, batch, step)
    throughput.on_train_end(trainer, module)


def test_flops_are_those_of_forward_and_backward_of_one_batch(monkeypatch):
    monkeypatch.setenv(PEAK_VARIABLE, "2")
    throughput = Throughput("seed-1", ROWS)
    drive(throughput, 3)
    # A product forward, and one backward: the input wants no gradient.
    assert throughput.flops == 2 * (2 * ROWS * WIDE * OUT)
    assert throughput.peak == 2e12
    assert throughput.mfu == pytest.approx(3 * throughput.flops / throughput.seconds / 2e12)


def test_lines_hold_the_speed_since_the_line_before(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(PEAK_VARIABLE, "0.001")
    throughput = Throughput("seed-1", ROWS, tmp_path / "speed.jsonl")
    with caplog.at_level(logging.INFO, "components.train"):
        drive(throughput, 2 * LOG_EVERY + 3, wait_s=0.002)
    lines = read_lines(tmp_path / "speed.jsonl")
    assert [line["step"] for line in lines] == [LOG_EVERY, 2 * LOG_EVERY]
    assert lines[0]["at"] < lines[1]["at"] <= time.time()
    for line in lines:
        assert 0.5 < line["data_share"] < 1, "most of the time is the waiting"
        assert 0 < line["samples_per_s"] < ROWS / 0.002
        assert 0 < line["mfu"] < 1
    assert "% of the device's peak" in caplog.text


def test_a_run_that_fails_in_its_first_batch_leaves_no_counter_behind():
    throughput = Throughput("seed-1", ROWS)
    module, trainer = Linear(), SimpleNamespace(global_step=0)
    throughput.on_train_start(trainer, module)
    throughput.on_train_batch_start(trainer, module, {}, 0)
    throughput.on_exception(trainer, module, RuntimeError("no"))
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    assert throughput.mfu is None


def test_counting_changes_no_byte_of_the_checkpoint(inputs, params, tmp_path, monkeypatch):
    torch.use_deterministic_algorithms(True)
    try:
        train_one(Job("seed-1", 1, 4), inputs, params, tmp_path / "counted" / "seed-1")
        monkeypatch.setattr("components.train.watch.throughput_of", lambda *_: Throughput("seed-1", ROWS, counts=False))
        train_one(Job("seed-1", 1, 4), inputs, params, tmp_path / "plain" / "seed-1")
    finally:
        torch.use_deterministic_algorithms(False)
    skip = ("speed.jsonl",)
    assert tree_manifest(tmp_path / "counted" / "seed-1", skip=skip) == tree_manifest(
        tmp_path / "plain" / "seed-1", skip=skip
    )


def test_the_peak_is_said_or_known(monkeypatch):
    monkeypatch.setenv(PEAK_VARIABLE, "989")
    assert peak_flops(torch.device("cpu")) == 989e12
    monkeypatch.delenv(PEAK_VARIABLE)
    assert peak_flops(torch.device("cpu")) is None
    assert peak_of("NVIDIA H100 PCIe") < peak_of("NVIDIA H100 80GB HBM3") == peak_of("NVIDIA H200")
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_of("Some other card") is None


@pytest.mark.parametrize("text", ["fast", "0", "-3", "inf", "nan"])
def test_a_peak_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(PEAK_VARIABLE, text)
    with pytest.raises(ParamsError, match=f"{PEAK_VARIABLE} is '{text}'"):
        peak_flops(torch.device("cpu"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_says_loss_and_speed(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("components.train.callbacks.tqdm", partial(tqdm, file=terminal))
    progress = Progress("seed-1", 1, 0, lambda: "loss 0.1234, 99 samples/s")
    trainer = SimpleNamespace(global_step=0)
    progress.on_train_start(trainer, None)
    progress._bar.mininterval = 0
    trainer.global_step = 1
    progress.on_train_batch_end(trainer, None, None, {}, 0)
    progress.on_train_end(trainer, None)
    assert "loss 0.1234, 99 samples/s" in terminal.getvalue()
