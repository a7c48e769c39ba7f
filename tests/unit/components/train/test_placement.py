from __future__ import annotations

import pytest

from components.core.errors import ComponentError, ParamsError, UsageError
from components.core.train_params import Checkpoints, Strategy, Train
from components.train import placement
from components.train.placement import Placement, placement_of
from components.train.ranks import become_one_of_several, launch


def with_strategy(params: Train, lanes: int = 1, **strategy: object) -> Train:
    loader = params.loader.model_copy(update={"lanes": lanes})
    return params.model_copy(update={"loader": loader, "strategy": Strategy(**strategy)})


@pytest.fixture
def gpus(monkeypatch):
    def make(count: int) -> None:
        monkeypatch.setattr(placement, "_gpus", lambda: count)

    make(0)
    return make


def test_one_process_on_what_there_is(params, gpus):
    assert placement_of(params) == Placement("single", "cpu", 1, 1)
    gpus(2)
    assert placement_of(params) == Placement("single", "cuda", 1, 1)
    assert placement_of(with_strategy(params, accelerator="cpu")).accelerator == "cpu"


def test_a_gpu_that_is_not_there_is_a_missing_component(params, gpus):
    with pytest.raises(ComponentError, match=r"accelerator is gpu and torch sees none.*nvidia-smi") as error:
        placement_of(with_strategy(params, accelerator="gpu"))
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("strategy", "lanes", "message"),
    [
        ({"kind": "single", "devices": 2}, 2, r"kind is single with 2 processes"),
        ({"kind": "ddp"}, 1, r"kind is ddp with 1 processes"),
        ({"kind": "ddp", "devices": 2}, 1, r"train\.loader\.lanes is 1, no multiple of 2 processes"),
        ({"kind": "ddp", "devices": 2, "nodes": 2}, 6, r"lanes is 6, no multiple of 4 processes"),
    ],
)
def test_numbers_of_processes_that_make_no_sense_are_refused(params, gpus, strategy, lanes, message):
    with pytest.raises(ParamsError, match=message):
        placement_of(with_strategy(params, lanes, **strategy))


def test_more_devices_than_there_are_are_refused(params, gpus):
    gpus(2)
    with pytest.raises(ParamsError, match=r"train\.strategy\.devices is 4 and torch sees 2 GPUs"):
        placement_of(with_strategy(params, 4, kind="ddp", devices=4))


@pytest.mark.parametrize("change", [{"ema_decay": 0.9}, {"compile": True}])
def test_what_does_not_go_with_shards_is_refused(params, gpus, change):
    sharded = with_strategy(params, 2, kind="fsdp", devices=2)
    assert placement_of(sharded).world == 2
    with pytest.raises(ParamsError, match=rf"train\.{next(iter(change))} does not go with train\.strategy\.kind fsdp"):
        placement_of(sharded.model_copy(update=change))


def test_the_best_of_none_is_refused(params, gpus):
    with pytest.raises(ParamsError, match="use is best and keep_best is 0"):
        placement_of(params.model_copy(update={"checkpoints": Checkpoints(use="best")}))


def test_several_nodes_are_started_from_outside(tmp_path):
    with pytest.raises(UsageError, match=r"nobody started this process on each.*torchrun --nnodes 2"):
        launch("seed-1", tmp_path, Placement("ddp", "cpu", 4, 2))


def test_as_many_processes_as_planned(monkeypatch):
    with pytest.raises(UsageError, match="started as one of 1 processes, planned are 2"):
        become_one_of_several(Placement("ddp", "cpu", 2, 1))
