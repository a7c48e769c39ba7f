from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from components.train.augment import Augmentation
from components.train.data import TrainingStream, ValidationStream, Windows

NONE = Augmentation(0, 0.0, 0.0, 0.0)


@pytest.fixture
def stream_of(inputs, opened):
    def make(seed=1, steps=40, augmentation=NONE, blind=False) -> TrainingStream:
        windows = Windows(opened(inputs.train, seed=seed), inputs.transforms, blind=blind)
        return TrainingStream(windows, augmentation, seed=seed, steps=steps, batch_size=16)

    return make


def test_a_batch_is_what_the_serving_chain_would_make_of_it(inputs, opened):
    loader = opened(inputs.train, seed=3)
    batch, raw = Windows(loader, inputs.transforms).tensors(5, 9), loader.batch(5, 9)
    instructions = [loader.instructions[number] for number in raw["instruction"]]
    images = dict(zip(loader.cameras, raw["images"].swapaxes(0, 1), strict=True))
    served = inputs.transforms.inputs(images, raw["state"], instructions)
    for name, expected in served.items():
        assert torch.equal(batch[name], torch.from_numpy(expected)), name
    np.testing.assert_allclose(inputs.transforms.outputs(batch["actions"].numpy()), raw["actions"], atol=1e-6)


def test_the_mask_ends_with_the_episode(inputs, opened):
    batch = Windows(opened(inputs.train, shuffle=False), inputs.transforms).tensors(5, 5)  # episodes are 10 frames long
    expected = [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert batch["mask"].tolist() == expected


def test_a_step_does_not_depend_on_the_steps_before_it(stream_of):
    some = Augmentation(2, 0.1, 0.05, 0.02)
    through = list(stream_of(steps=20, augmentation=some))
    alone = stream_of(steps=20, augmentation=some).batch(17)
    assert all(torch.equal(through[17][name], alone[name]) for name in alone)
    assert len(through) == 20


def test_seeds_see_other_orders_and_other_noise(stream_of):
    some = Augmentation(0, 0.0, 0.0, 0.02)
    one, other = (stream_of(seed=seed, augmentation=some).batch(0) for seed in (1, 2))
    assert not torch.equal(one["actions"], other["actions"])
    assert not torch.equal(one["state"], other["state"])


def test_a_blind_policy_trains_on_the_same_numbers_without_paying_for_images(inputs, opened, stream_of):
    some = Augmentation(2, 0.1, 0.05, 0.02)
    seeing, blind = stream_of(augmentation=some).batch(3), stream_of(augmentation=some, blind=True).batch(3)
    assert torch.equal(seeing["state"], blind["state"])
    assert torch.equal(seeing["actions"], blind["actions"])
    raw = opened(inputs.train, seed=1).batch(48, 16)["images"]
    assert np.array_equal(blind["images"].numpy(), raw)


def test_validation_sees_every_window_once_and_as_recorded(inputs, opened):
    loader = opened(inputs.val, shuffle=False)
    stream = ValidationStream(Windows(loader, inputs.transforms), batch_size=16)
    batches = list(stream)
    assert [len(batch["state"]) for batch in batches] == [16, 16, 16, 12]
    assert len(stream) == 4
    (part,) = inputs.val.parts
    recorded = np.concatenate([part.dataset.images(index, "wrist") for index in part.indices.tolist()])
    place = loader.cameras.index("wrist")
    assert np.array_equal(torch.cat([batch["images"] for batch in batches])[:, place].numpy(), recorded)


def test_frames_are_the_same_from_video_and_from_the_cache(inputs, opened):
    video = replace(inputs.train, choice=replace(inputs.train.choice, kind="video", folder=None))
    cached, decoded = opened(inputs.train, seed=4).batch(30, 40), opened(video, seed=4).batch(30, 40)
    assert all(np.array_equal(cached[name], decoded[name]) for name in cached)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_stream_is_as_long_as_it_says(stream_of, steps):
    stream = stream_of(steps=steps)
    assert len(list(stream)) == len(stream) == steps


def test_lanes_make_one_batch_however_they_are_shared_out(inputs, params, opened):
    some, lanes = Augmentation(2, 0.1, 0.05, 0.02), 4
    four = params.model_copy(update={"loader": params.loader.model_copy(update={"lanes": lanes})})

    def stream(own: range) -> TrainingStream:
        windows = {lane: Windows(inputs.train.loader(four, seed=1, lane=lane), inputs.transforms) for lane in own}
        return TrainingStream(windows, some, seed=1, steps=30, batch_size=16, lanes=lanes)

    whole, halves = stream(range(4)), [stream(range(2)), stream(range(2, 4))]
    for step in (0, 7):
        together = {name: torch.cat([half.batch(step)[name] for half in halves]) for name in whole.batch(0)}
        assert all(torch.equal(tensor, together[name]) for name, tensor in whole.batch(step).items())
    # 240 windows: each comes once in 15 steps of 16, over all lanes.
    states = torch.cat([stream(range(4)).batch(step)["actions"] for step in range(15)])
    raw = opened(inputs.train, shuffle=False).batch(0, 240)["actions"]
    expected = torch.from_numpy(inputs.transforms.normalise_actions(raw))
    assert torch.equal(states.flatten(1).sort(0).values, expected.flatten(1).sort(0).values)


def test_a_stream_goes_on_after_what_was_handed_out(stream_of):
    first = iter(stream := stream_of(steps=9))
    for _ in range(4):
        next(first)
    other = stream_of(steps=9)
    other.load_state_dict(stream.state_dict())
    assert len(other) == 9
    rest = list(other)
    assert [torch.equal(batch["state"], stream.batch(4 + i)["state"]) for i, batch in enumerate(rest)] == [True] * 5


def test_processes_share_out_validation_and_take_part_equally_often(inputs, opened):
    windows = Windows(opened(inputs.val, shuffle=False), inputs.transforms)
    whole = list(ValidationStream(windows, 16))
    parts = [list(ValidationStream(windows, 16, rank=rank, world=4)) for rank in range(4)]
    assert {len(part) for part in parts} == {4}
    counts = [sum(part[index]["mask"].sum() for part in parts) for index in range(4)]
    assert counts == [batch["mask"].sum() for batch in whole]
    last = torch.cat([part[3]["state"] for part in parts[:3]])
    assert torch.equal(last, whole[3]["state"])
    assert not parts[3][3]["mask"].any()
