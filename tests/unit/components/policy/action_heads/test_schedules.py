"""Against diffusers, on vectors."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.core.errors import ContractError
from components.policy.action_heads.schedules import DiffusionSchedule, cosine_betas, linear_betas

BETAS = {"squaredcos_cap_v2": cosine_betas, "linear": linear_betas}
named = pytest.mark.parametrize("name", BETAS)
predicting = pytest.mark.parametrize("predicts", ["epsilon", "sample"])


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(kind: type, name: str, times: int, predicts: str, clip: float | None, **more: str):
    return kind(
        num_train_timesteps=times, beta_schedule=name, prediction_type=predicts, clip_sample=clip is not None,
        clip_sample_range=clip or 1.0, **more,
    )  # fmt: skip


@named
@pytest.mark.parametrize("times", [20, 50, 100, 1000])
def test_the_noise_of_every_time_is_that_of_diffusers(name, times):
    schedule, theirs = DiffusionSchedule(BETAS[name](times)), DDPMScheduler(times, beta_schedule=name)
    torch.testing.assert_close(schedule.kept, theirs.alphas_cumprod)
    actions, noise = drawn(times, 4, 3), drawn(times, 4, 3, seed=2)
    at = torch.arange(times)
    torch.testing.assert_close(schedule.noisy(actions, noise, at), theirs.add_noise(actions, noise, at))


@named
@predicting
@pytest.mark.parametrize("steps", [1, 3, 10, 20])
@pytest.mark.parametrize("clip", [None, 1.0, 0.3])
def test_implicit_steps_are_those_of_diffusers(name, predicts, steps, clip):
    schedule = DiffusionSchedule(BETAS[name](20), predicts=predicts, clip=clip)
    theirs = reference(DDIMScheduler, name, 20, predicts, clip)
    theirs.set_timesteps(steps)
    assert theirs.timesteps.tolist() == schedule.times(steps)
    predictions, point = drawn(steps, 2, 4, 3, seed=3), drawn(2, 4, 3)
    expected = point
    for number, time in enumerate(theirs.timesteps):
        expected = theirs.step(predictions[number], time, expected).prev_sample
    found = schedule.sample(lambda _, number: predictions.index_select(0, number)[0], point, steps)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@named
@predicting
@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("steps", [4, 20])
def test_ancestral_steps_are_those_of_diffusers(name, predicts, variance, steps):
    schedule = DiffusionSchedule(BETAS[name](20), predicts=predicts)
    theirs = reference(DDPMScheduler, name, 20, predicts, 1.0, variance_type=f"fixed_{variance}")
    theirs.set_timesteps(steps)
    times = schedule.times(steps)
    point = expected = drawn(2, 4, 3)
    for number, (time, before) in enumerate(zip(times, [*times[1:], -1], strict=True)):
        predicted, generator = drawn(2, 4, 3, seed=10 + number), torch.Generator().manual_seed(90 + number)
        expected = theirs.step(predicted, time, expected, generator=generator).prev_sample
        point = schedule.ancestral_step(predicted, point, time, before, drawn(2, 4, 3, seed=90 + number), variance)
    torch.testing.assert_close(point, expected, rtol=1e-4, atol=1e-4)


def test_the_cosine_is_octos():
    """Its code divides by the first value, which cancels, and cuts at the same place."""
    shares = [math.cos((step / 20 + 0.008) / 1.008 * math.pi / 2) ** 2 for step in range(21)]
    betas = [min(max(1 - after / before, 0.0), 0.999) for before, after in pairwise(shares)]
    assert cosine_betas(20) == pytest.approx(betas)


def test_a_large_ancestral_step_is_octos():
    """x / sqrt(alpha) less the noise, and sqrt(beta) of new noise; clean actions are not cut."""
    schedule, betas = DiffusionSchedule(cosine_betas(20), clip=None), cosine_betas(20)
    point, predicted, noise = (drawn(2, 4, 3, seed=seed) for seed in (1, 2, 3))
    for time in (0, 7, 18):
        spread = betas[time] / math.sqrt(1.0 - float(schedule.kept[time]))
        expected = (point - spread * predicted) / math.sqrt(1.0 - betas[time])
        expected = expected + (time > 0) * math.sqrt(betas[time]) * noise
        found = schedule.ancestral_step(predicted, point, time, time - 1, noise, "large")
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@predicting
@given(times=st.integers(1, 100), data=st.data())
@settings(max_examples=25, deadline=None)
def test_who_knows_the_noise_comes_to_the_clean_actions(predicts, times, data):
    steps = data.draw(st.integers(1, times))
    schedule = DiffusionSchedule(cosine_betas(times), predicts=predicts)
    clean, asked = drawn(2, 4, 3).clamp(-1.0, 1.0), schedule.times(steps)

    def denoise(point: Tensor, number: Tensor) -> Tensor:
        kept = schedule.kept[asked[int(number)]].double()
        noise = (point.double() - kept.sqrt() * clean) / (1.0 - kept).sqrt()
        return (noise if predicts == "epsilon" else clean).to(point.dtype)

    torch.testing.assert_close(schedule.sample(denoise, drawn(2, 4, 3, seed=2), steps), clean, atol=2e-3, rtol=0.0)


@pytest.mark.parametrize("steps", [0, 21])
def test_more_steps_than_times_are_refused(steps):
    with pytest.raises(ContractError, match=f"{steps} steps of a diffusion of 20 times"):
        DiffusionSchedule(cosine_betas(20)).times(steps)


def test_a_schedule_is_no_weight_and_has_numbers_in_a_policy_without_memory():
    with torch.device("meta"):
        schedule = DiffusionSchedule(linear_betas(5))
    assert schedule.state_dict() == {}
    assert schedule.kept.device.type == "cpu"
    torch.testing.assert_close(schedule.kept[0], torch.tensor(1.0 - 1e-4))
