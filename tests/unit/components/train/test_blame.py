from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from components.core.errors import DatasetError
from components.train.augment import Augmentation
from components.train.blame import Blame
from components.train.data import TrainingStream, ValidationStream, Windows
from components.train.jobs import Job
from components.train.module import PolicyTraining
from components.train.train import train_one


class _Broken:
    """A loader, one episode of which holds a value that it should not."""

    def __init__(self, loader, row: int, field: str, value: float) -> None:
        self._loader, self._row, self._field, self._value = loader, row, field, value

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def __len__(self):
        return len(self._loader)

    def batch(self, position, size):
        batch = self._loader.batch(position, size)
        batch[self._field][batch["episode"] == self._row, ..., 2] = self._value
        return batch


def _name(inputs, row: int) -> str:
    known = inputs.episodes.iloc[row]
    return rf"{known['episode_id'][:12]} of {known['source_uri']}"


def _batch_with(windows: Windows, row: int) -> dict[str, torch.Tensor]:
    """The first batch of 16 windows that some but not all of episode `row` are in."""
    for position in range(0, 240, 16):
        batch = windows.tensors(position, 16)
        if 0 < int((batch["episode"] == row).sum()) < 16:
            return batch
    raise AssertionError("the episode comes in no batch")


def test_a_loss_that_is_none_names_the_episode_and_the_field(inputs, params, opened):
    loader = opened(inputs.train, seed=1)
    windows = Windows(_Broken(loader, 7, "state", 1e38), inputs.transforms)
    training = PolicyTraining(_Sum(), params, steps=1)
    training.blame = windows.blame
    batch = _batch_with(windows, 7)
    count = int((batch["episode"] == 7).sum())
    expected = rf"the loss is (nan|inf) at step 0: {count} of 16 windows have a loss that is no number. " \
        rf"Episodes: {_name(inputs, 7)}, state \S+ is 1e\+38 normalised. .*--explain"  # fmt: skip
    with pytest.raises(DatasetError, match=expected):
        training.training_step(batch, 0)


def test_weights_that_are_no_numbers_leave_the_largest_values_to_name(inputs, params, opened):
    windows = Windows(_Broken(opened(inputs.train, shuffle=False), 3, "state", 900.0), inputs.transforms)
    training = PolicyTraining(_Sum(float("nan")), params, steps=1)
    training.blame = windows.blame
    batch = windows.tensors(0, 80)
    with pytest.raises(
        DatasetError,
        match=rf"the loss of every window is no number, so the weights have diverged. Episodes: {_name(inputs, 3)}",
    ) as found:
        training.training_step(batch, 0)
    assert found.value.message.count(".mcap") == 5
    assert "state" in found.value.message
    assert "; and 3 more" in found.value.message


@pytest.mark.parametrize("stream", ["train", "val"])
@pytest.mark.parametrize(("field", "value"), [("actions", np.nan), ("state", -np.inf)])
def test_a_value_that_is_none_names_the_episode(inputs, opened, stream, field, value):
    side = getattr(inputs, stream)
    windows = Windows(_Broken(opened(side, seed=1), 2, field, value), inputs.transforms)
    batches = (
        TrainingStream(windows, Augmentation(0, 0.0, 0.0, 0.0), seed=1, steps=15, batch_size=16)
        if stream == "train"
        else ValidationStream(windows, 16)
    )
    known = side.table(["episode_id"])["episode_id"][2]
    with pytest.raises(DatasetError, match=rf"not a finite number in {known[:12]} of \S+, {field} \S+ is {value}"):
        list(batches)


def test_a_run_that_diverges_stops_with_names(inputs, params, tmp_path):
    wild = params.model_copy(update={"learning_rate": 1e30, "clip_norm": 1e30, "warmup_steps": 0})
    with pytest.raises(DatasetError, match=r"the loss is (nan|inf) at step \d+: .*Episodes: [0-9a-f]{12} of 1-\d+"):
        train_one(Job("seed-1", 1, 6), inputs, wild, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_copy_of_a_training_copies_no_dataset(inputs, params, opened):
    training = PolicyTraining(_Sum(), params, steps=1)
    training.blame = Blame(opened(inputs.train).episodes)
    copied = copy.deepcopy(training)
    assert copied.blame is training.blame
    assert copied.policy.value is not training.policy.value


def test_finite_values_are_nobodys_fault(inputs, opened):
    blame = Blame(opened(inputs.train).episodes)
    assert blame.values(np.zeros(2, np.int64), {"actions": np.zeros((2, 4, 4))}) is None


class _Sum(torch.nn.Module):
    """Overflows where the state is very large."""

    def __init__(self, value: float = 10.0) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, images, state, tokens):
        return (state.sum(1) * self.value)[:, None, None].expand(len(state), 4, 4)
