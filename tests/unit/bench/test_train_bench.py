from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from gpu_model import MODELS, TOKENS, Trunk, TrunkSize, flops_per_sample, parameters
from torch.utils.flop_counter import FlopCounterMode
from train import show, summary
from train_gpu import measure, peak_flops, synthetic
from train_runs import RUNS, Watch, params_of

SMALL = TrunkSize(width=64, heads=4, layers=2, batch=2)


def test_the_sizes_are_what_they_are_called():
    found = {name: parameters(size) / 1e9 for name, size in MODELS.items()}
    assert found == {
        "0.1B": pytest.approx(0.1, rel=0.1),
        "0.5B": pytest.approx(0.5, rel=0.1),
        "3B": pytest.approx(3, rel=0.1),
    }


def test_parameters_are_those_of_the_layers():
    model = Trunk(SMALL, "sdpa")
    assert sum(weight.numel() for weight in model.layers.parameters()) == parameters(SMALL)


def test_operations_are_what_torch_counts():
    meta = torch.device("meta")
    model, batch = Trunk(SMALL, "eager").to(meta), next(synthetic(SMALL.batch, meta))
    with FlopCounterMode(display=False) as counted:
        model(batch["images"], batch["state"]).sum().backward()
    # What comes before and after the layers is not counted by the formula: a sixth of so narrow a model.
    edges = 6 * TOKENS * SMALL.width * 14 * 14 * 3 * SMALL.batch
    found = flops_per_sample(SMALL) * SMALL.batch
    assert found < counted.get_total_flops() < found + edges


def test_one_model_is_measured_where_there_is_no_gpu(tmp_path):
    found = measure("small", SMALL, ("sdpa", False, False), tmp_path, 1, torch.device("cpu"))
    assert found.samples_per_s > 0
    assert found.mfu is None
    assert "unknown" in found.line()


def test_the_data_sheet_decides_the_peak(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert peak_flops(torch.device("cuda")) == 989e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some other")
    assert peak_flops(torch.device("cuda")) is None


def test_steps_are_counted_from_the_end_of_the_first():
    watch = Watch()
    watch.starts, watch.ends = [(0.0, 0.0), (6.0, 4.0), (9.0, 6.0)], [(5.0, 3.0), (8.0, 6.0), (10.0, 7.0)]
    assert watch.result(batch_size=8) == {"samples": 16, "wall_s": 5.0, "cpu_s": 4.0, "loading_s": 2.0}


def test_medians_of_the_rounds():
    rows = [{"samples": 10, "wall_s": wall, "cpu_s": 2 * wall, "loading_s": 0.1} for wall in (1.0, 2.0, 5.0)]
    found = summary(rows)
    assert (found["slowest"], found["samples_per_s"], found["fastest"]) == (2.0, 5.0, 10.0)
    assert (found["cpu_s_per_sample"], found["loading_share"]) == (0.4, 0.05)


def test_an_aim_that_was_missed_is_said(capsys):
    row = {"samples_per_s": 1.0, "slowest": 1.0, "fastest": 1.0, "cpu_s_per_sample": 1.0, "loading_share": 0.06}
    show({"act": row, "lerobot": row | {"cpu_s_per_sample": 0.5}})
    assert capsys.readouterr().out.count("MISSED") == 2
    show({"act": row | {"loading_share": 0.01}})
    out = capsys.readouterr().out
    assert "MISSED" not in out
    assert "LeRobot was not run" in out


def test_every_run_has_params_that_hold():
    for name in RUNS:
        params = params_of(name, 3)
        assert type(params).model_validate(params.model_dump()) == params
        assert SimpleNamespace(**RUNS[name]).preset == params.preset
