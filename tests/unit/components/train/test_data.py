from __future__ import annotations

import numpy as np
import pytest
import torch

from components.train.augment import Augmentation
from components.train.data import TrainingStream, ValidationStream, Windows, batch_indices

NONE = Augmentation(0, 0.0, 0.0, 0.0)


def _stream(inputs, seed=1, steps=40, augmentation=NONE, blind=False) -> TrainingStream:
    windows = Windows(inputs.train, inputs.transforms, blind=blind)
    return TrainingStream(windows, augmentation, seed=seed, steps=steps, batch_size=16)


def test_a_batch_is_what_the_serving_chain_would_make_of_it(inputs):
    batch = Windows(inputs.train, inputs.transforms).tensors(np.array([0, 33, 7]))
    raw = inputs.train.batch(np.array([0, 33, 7]))
    instructions = [inputs.train.instructions[number] for number in raw["instruction"]]
    images = dict(zip(("fixed", "wrist"), raw["images"].swapaxes(0, 1), strict=True))
    served = inputs.transforms.inputs(images, raw["state"], instructions)
    for name, expected in served.items():
        assert torch.equal(batch[name], torch.from_numpy(expected)), name
    np.testing.assert_allclose(inputs.transforms.outputs(batch["actions"].numpy()), raw["actions"], atol=1e-6)


def test_the_mask_ends_with_the_episode(inputs):
    batch = Windows(inputs.train, inputs.transforms).tensors(np.array([5, 8, 9]))  # episodes are 10 frames long
    assert batch["mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]


def test_every_window_once_an_epoch_without_a_seam(inputs):
    count = len(inputs.train)
    row = np.concatenate([batch_indices(inputs.train, 3, step, 16) for step in range(3 * count // 16)])
    for epoch in range(3):
        assert sorted(row[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert not np.array_equal(row[:count], row[count : 2 * count])


def test_a_step_does_not_depend_on_the_steps_before_it(inputs):
    some = Augmentation(2, 0.1, 0.05, 0.02)
    through = list(_stream(inputs, steps=20, augmentation=some))
    alone = _stream(inputs, steps=20, augmentation=some).batch(17)
    assert all(torch.equal(through[17][name], alone[name]) for name in alone)
    assert len(through) == 20


def test_seeds_see_other_orders_and_other_noise(inputs):
    some = Augmentation(0, 0.0, 0.0, 0.02)
    one, other = (_stream(inputs, seed=seed, augmentation=some).batch(0) for seed in (1, 2))
    assert not torch.equal(one["actions"], other["actions"])
    assert not torch.equal(one["state"], other["state"])


def test_a_blind_policy_trains_on_the_same_numbers_without_paying_for_images(inputs):
    some = Augmentation(2, 0.1, 0.05, 0.02)
    seeing = _stream(inputs, augmentation=some).batch(3)
    blind = _stream(inputs, augmentation=some, blind=True).batch(3)
    assert torch.equal(seeing["state"], blind["state"])
    assert torch.equal(seeing["actions"], blind["actions"])
    raw = inputs.train.batch(batch_indices(inputs.train, 1, 3, 16))["images"]
    assert np.array_equal(blind["images"].numpy(), raw)


def test_validation_sees_every_window_once_and_as_recorded(inputs):
    stream = ValidationStream(Windows(inputs.val, inputs.transforms), batch_size=16)
    batches = list(stream)
    assert [len(batch["state"]) for batch in batches] == [16, 16, 16, 12]
    assert len(stream) == 4
    everything = inputs.val.batch(np.arange(60))
    assert np.array_equal(torch.cat([batch["images"] for batch in batches]).numpy(), everything["images"])


def test_a_word_that_training_never_saw_is_unknown_and_not_an_error(inputs, store_of):
    store = store_of(5, episodes=2)
    store.instructions = ("press the knob", "pull the drawer open")
    tokens = Windows(store, inputs.transforms).tensors(np.array([0]))["tokens"]
    assert tokens[0].tolist().count(1) == 1


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_stream_is_as_long_as_it_says(inputs, steps):
    stream = _stream(inputs, steps=steps)
    assert len(list(stream)) == len(stream) == steps
