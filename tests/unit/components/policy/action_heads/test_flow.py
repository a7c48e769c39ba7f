from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from components.bundle.contract import FLOW_CONVENTIONS
from components.policy.action_heads.flow import GR00T, PI0, convention_of
from components.policy.action_heads.head import ActionHead

both = pytest.mark.parametrize("flow", [PI0, GR00T], ids=lambda flow: flow.name)


def pair():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 2, generator=generator), torch.randn(3, 4, 2, generator=generator)


@both
@pytest.mark.parametrize("steps", [1, 4, 10])
def test_the_known_field_leads_from_the_noise_to_the_actions(flow, steps):
    noise, actions = pair()
    reached = flow.integrate(lambda *_: flow.velocity(noise, actions), noise, steps)
    torch.testing.assert_close(reached, actions, atol=1e-5, rtol=1e-5)


@both
@given(share=st.floats(0.0, 1.0))
def test_the_velocity_is_the_slope_of_the_line(flow, share):
    noise, actions = pair()
    time = torch.full((3,), share, dtype=torch.float64)
    there = flow.between(noise.double(), actions.double(), time)
    later = flow.between(noise.double(), actions.double(), time + 1e-3)
    torch.testing.assert_close((later - there) / 1e-3, flow.velocity(noise.double(), actions.double()))


@both
def test_the_field_is_asked_at_its_times_and_on_the_line(flow):
    noise, actions = pair()
    times = flow.times(4)

    def field(point, number):
        expected = flow.between(noise, actions, torch.full((3,), times[number]))
        torch.testing.assert_close(point, expected, atol=1e-5, rtol=1e-5)
        return flow.velocity(noise, actions)

    flow.integrate(field, noise, 4)


def test_pi0_and_gr00t_are_mirror_images():
    noise, actions = pair()
    time = torch.tensor([0.1, 0.5, 0.8])
    torch.testing.assert_close(
        PI0.between(noise, actions, time), time.view(3, 1, 1) * noise + (1 - time.view(3, 1, 1)) * actions
    )
    torch.testing.assert_close(PI0.between(noise, actions, time), GR00T.between(noise, actions, 1.0 - time))
    torch.testing.assert_close(PI0.velocity(noise, actions), noise - actions)
    torch.testing.assert_close(GR00T.velocity(noise, actions), actions - noise)
    assert (PI0.times(4)[0], GR00T.times(4)[0]) == (1.0, 0.0)


def test_a_contract_knows_both_by_name():
    assert (PI0.name, GR00T.name) == FLOW_CONVENTIONS


def test_a_policy_answers_by_the_convention_of_its_head():
    policy = nn.Module()
    policy.head = ActionHead()
    assert convention_of(policy) == ""
    policy.head.flow_convention = GR00T.name
    assert convention_of(policy) == "gr00t"
    assert convention_of(nn.Linear(1, 1)) == ""
