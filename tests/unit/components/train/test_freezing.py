from __future__ import annotations

import warnings

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from components.core.errors import ParamsError
from components.core.records import read_record
from components.core.train_params import Freeze
from components.policy.checkpoint import load_policy
from components.train.callbacks import Callback
from components.train.freezing import Freezing
from components.train.jobs import Job
from components.train.module import PolicyTraining
from components.train.train import train_one


class _Small(nn.Module):
    """Eyes with a norm that keeps running statistics, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.eyes = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
        self.head = nn.Linear(5, 6)

    def forward(self, images, state, tokens):
        return self.head(self.eyes(state)).unflatten(1, (2, 3))


class _Watch(Callback):
    """Bytes of everything after each step, and the average of the weights that is kept beside."""

    def __init__(self) -> None:
        self.after: list[dict[str, torch.Tensor]] = []
        self.eyes_training: list[bool] = []
        self.average: AveragedModel | None = None

    def on_train_start(self, trainer, pl_module):
        self.after.append(_bytes(pl_module.policy))
        self.average = AveragedModel(pl_module.policy, multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append(_bytes(pl_module.policy))
        self.eyes_training.append(pl_module.policy.eyes.training)
        self.average.update_parameters(pl_module.policy)

    def moved(self, name: str) -> list[bool]:
        pairs = zip(self.after, self.after[1:], strict=False)
        return [not torch.equal(one[name], other[name]) for one, other in pairs]


def _bytes(policy: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in policy.state_dict().items()}


def _batches(steps: int) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(4)
    return [
        {
            "images": torch.zeros(8),
            "tokens": torch.zeros(8),
            "state": torch.randn(8, 3, generator=draw),
            "actions": torch.randn(8, 2, 3, generator=draw),
            "mask": torch.ones(8, 2),
        }
        for _ in range(steps)
    ]


def _train(params, rules, steps, policy=None, ckpt=None, stop=None):
    torch.manual_seed(5)
    policy = policy or _Small()
    watch, freezing = _Watch(), Freezing(policy, rules, steps)
    heavy = params.model_copy(update={"weight_decay": 0.5, "warmup_steps": 0})
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=stop or steps, max_epochs=-1, callbacks=[freezing, watch], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        val_check_interval=2, check_val_every_n_epoch=None,
    )  # fmt: skip
    begin = 0 if ckpt is None else torch.load(ckpt, weights_only=False)["global_step"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, data = PolicyTraining(policy, heavy, steps), _Rest(_batches(steps), begin)
        trainer.fit(module, data, _Rest(_batches(1), 0), ckpt_path=ckpt, weights_only=False)
    return watch, trainer


class _Rest:
    """Batches from a step on."""

    def __init__(self, batches, begin):
        self.batches, self.begin = batches, begin

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches[self.begin :])


EYES = [f"eyes.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")]


def test_what_is_frozen_keeps_its_bytes_and_the_rest_trains(params):
    watch, _ = _train(params, [Freeze(match="eyes.*")], 5)
    assert not any(any(watch.moved(name)) for name in [*EYES, "eyes.1.num_batches_tracked"])
    assert all(watch.moved("head.weight"))
    assert watch.eyes_training == [False] * 5
    average = dict(watch.average.module.named_parameters())
    assert all(torch.equal(average[name], watch.after[0][name]) for name in EYES if "running" not in name)


def test_frozen_first_and_unfrozen_for_the_last_steps(params):
    watch, _ = _train(params, [Freeze(match="eyes.*", until_step=3)], 6)
    for name in EYES:
        assert watch.moved(name) == [False] * 3 + [True] * 3, name
    assert watch.eyes_training == [False] * 3 + [True] * 3


def test_frozen_from_a_step_on_with_the_optimisers_momentum_in_it(params):
    watch, _ = _train(params, [Freeze(match="eyes.*", from_step=2, until_step=4), Freeze(match="head.bias")], 6)
    assert watch.moved("eyes.0.weight") == [True, True, False, False, True, True]
    assert watch.moved("eyes.1.running_var") == [True, True, False, False, True, True]
    assert not any(watch.moved("head.bias"))


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_run_freezes_at_the_same_steps(params, tmp_path, stop):
    rules = [Freeze(match="eyes.*", until_step=3)]
    whole, _ = _train(params, rules, 6)
    _, trainer = _train(params, rules, 6, stop=stop)
    trainer.save_checkpoint(tmp_path / "state.ckpt")
    rest, _ = _train(params, rules, 6, ckpt=tmp_path / "state.ckpt")
    assert len(rest.after) == 7 - stop
    # Dropout draws anew after a resume; what stands still and what moves does not.
    for name in EYES:
        assert rest.moved(name) == whole.moved(name)[stop:], name


def test_several_processes_keep_what_will_train_among_their_gradients(params):
    policy = _Small()
    freezing = Freezing(policy, [Freeze(match="eyes.*", until_step=3), Freeze(match="head.bias")], 6)
    several = type("Several", (), {"world_size": 2, "global_step": 0})()
    freezing.setup(several, None, "fit")
    freezing.on_train_batch_start(several, None, None, 0)
    assert [name for name, one in policy.named_parameters() if not one.requires_grad] == ["head.bias"]
    policy(None, torch.randn(8, 3), None).sum().backward()
    freezing.on_before_optimizer_step(several, None, None)
    assert [name for name, one in policy.named_parameters() if one.grad is not None] == ["head.weight"]


class _Normless(_Small):
    """Running statistics would differ by process."""

    def __init__(self) -> None:
        super().__init__()
        self.eyes = nn.Sequential(nn.Linear(3, 5), nn.ReLU())


@pytest.mark.parametrize("steps", [3, 5])
def test_two_processes_freeze_what_one_does(params, steps):
    rules = [Freeze(match="eyes.*", until_step=3), Freeze(match="head.bias")]
    states = {}
    for count in (0, 1, 2):
        torch.manual_seed(5)
        policy = _Normless()
        states[count] = _bytes(policy)
        if count:
            strategy = "auto" if count == 1 else DDPStrategy(start_method="fork", process_group_backend="gloo")
            trainer = Trainer(
                accelerator="cpu", devices=count, strategy=strategy, max_steps=steps,
                callbacks=[Freezing(policy, rules, 5)], logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
                use_distributed_sampler=False,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trainer.fit(PolicyTraining(policy, params, 5), _Rest(_batches(5), 0))
            states[count] = _bytes(policy)
    drawn, alone, both = (states[count] for count in (0, 1, 2))
    for name, tensor in alone.items():
        torch.testing.assert_close(both[name], tensor, atol=1e-6, rtol=1e-5)
    expected = {"head.bias"} | ({"eyes.0.weight", "eyes.0.bias"} if steps == 3 else set())
    assert {name for name in drawn if torch.equal(drawn[name], both[name])} == expected


def test_a_rule_that_matches_nothing_names_the_nearest(params):
    policy = _Small()
    with pytest.raises(ParamsError, match=r"train.freeze: 'eye\.\*' matches no parameter.*names are eyes"):
        Freezing(policy, [Freeze(match="eye.*")], 6)
    assert Freezing(policy, [Freeze(match="eye.*")], 6, lenient=True).frozen(0) == frozenset()
    with pytest.raises(ParamsError, match=r"nothing trains in steps 2-3"):
        Freezing(policy, [Freeze(match="*", from_step=2, until_step=4)], 6)
    with pytest.raises(ValueError, match="until_step 2 is not after from_step 2"):
        Freeze(match="*", from_step=2, until_step=2)


def test_says_what_trains_when(caplog):
    caplog.set_level("INFO", "gripline")
    rules = [Freeze(match="eyes.*", until_step=3)]
    freezing = Freezing(_Small(), rules, 6)
    assert caplog.messages == [
        "36 of 66 parameters (54.5 %) train in steps 0-2",
        "66 of 66 parameters (100.0 %) train in steps 3-5",
    ]
    assert freezing.shares == {"trainable_share_from_step_0": 36 / 66, "trainable_share_from_step_3": 1.0}
    assert Freezing(_Small(), rules, 0).shares == {}


def test_a_job_with_frozen_eyes(inputs, params, tmp_path):
    rules = (Freeze(match="eyes.*"), Freeze(match="language.*", until_step=3))
    changed = params.model_copy(update={"freeze": rules})
    for job in (Job("seed-1", 1, 5), Job("untrained", 1, 0), Job("blind", 1, 3, blind=True)):
        train_one(job, inputs, changed, tmp_path / job.name)
    trained, drawn = (load_policy(tmp_path / name)[0].state_dict() for name in ("seed-1", "untrained"))
    same = {name for name in drawn if torch.equal(trained[name], drawn[name])}
    assert same == {name for name in drawn if name.startswith("eyes.")}
    counts = read_record(tmp_path / "seed-1", "checkpoint").counts
    assert 0 < counts["trainable_share_from_step_0"] < counts["trainable_share_from_step_3"] < 1
