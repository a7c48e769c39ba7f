from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.train.data import Windows
from components.train.jobs import Job
from components.train.policies import config_of
from components.train.samples import EPISODES, choose_rows, moments, pick_samples, predictions


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20))
def test_as_many_tasks_as_there_are_and_no_row_twice(tasks: list[str]) -> None:
    rows = choose_rows(tasks)
    assert len(rows) == len(set(rows)) == min(EPISODES, len(tasks))
    assert len({tasks[row] for row in rows}) == min(EPISODES, len(set(tasks)))


@given(st.integers(1, 500))
def test_moments_lie_in_the_episode_and_begin_with_it(length: int) -> None:
    found = moments(length)
    assert found[0] == 0
    assert list(found) == sorted(set(found))
    assert found[-1] < length


def test_samples_are_the_windows_of_their_frames(inputs, params, opened):
    samples = pick_samples(inputs.val, params, inputs.transforms)
    assert len(samples.episodes) == EPISODES
    assert samples.cameras == ("fixed", "wrist")
    whole = Windows(opened(inputs.val, shuffle=False), inputs.transforms)
    first = samples.episodes[0]
    for place, frame in enumerate(first.frames):
        window = whole.tensors(frame, 1)
        np.testing.assert_array_equal(samples.inputs["images"][place], window["images"][0])
        np.testing.assert_array_equal(first.images[place], window["images"][0])
        recorded = inputs.transforms.outputs(window["actions"].numpy())[0, 0]
        np.testing.assert_allclose(first.recorded[frame], recorded, atol=1e-6)
    assert first.title.startswith("task, episode ")
    assert sum(len(one.frames) for one in samples.episodes) == len(samples.inputs["state"])


def test_predictions_are_the_policys_in_physical_units_and_leave_it_as_it_was(inputs, params):
    samples = pick_samples(inputs.val, params, inputs.transforms)
    policy = config_of(Job("seed-1", 1, 1), inputs.transforms, params).build().train()
    chunks = predictions(policy, samples, inputs.transforms)
    assert policy.training
    assert [chunk.shape for chunk in chunks] == [(len(one.frames), 4, 4) for one in samples.episodes]
    asked = {name: samples.inputs[name][:1] for name in ("images", "state", "tokens")}
    expected = inputs.transforms.outputs(policy.eval()(**asked).detach().numpy())
    np.testing.assert_allclose(chunks[0][:1], expected, atol=1e-5)
