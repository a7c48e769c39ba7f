from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import ContractError
from components.policy.action_heads.dit import DitSize
from components.policy.action_heads.flow import GR00T
from components.policy.action_heads.flow_dit import FlowDit, buckets, drawn_times
from components.policy.parts.segments import Context, Segment

SIZE = DitSize(heads=2, head_width=8, layers=2, out=12)


def made(**changes: int) -> FlowDit:
    torch.manual_seed(1)
    return FlowDit(24, 3, 2, 5, SIZE, **{"hidden": 10, "longest": 8} | changes).eval()


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def context(rows: int = 2, times: int = 1) -> Context:
    seen = torch.ones(rows, 4, dtype=torch.bool)
    seen[0, 2:] = False
    again = [one.repeat_interleave(times, 0) for one in (numbers(rows, 4, 24), seen, numbers(rows, 3))]
    return Context((Segment("text", again[0], again[1]),), again[2], torch.zeros(rows * times, 4), None)


def test_a_known_field_leads_through_the_head_to_its_end(monkeypatch):
    head, noise, actions = made(), numbers(2, 5, 2), numbers(2, 5, 3)[..., :2]
    asked = []

    def known(point, bucket, *_):
        asked.append((point, int(bucket)))
        return GR00T.velocity(noise, actions)

    monkeypatch.setattr(head, "velocity", known)
    torch.testing.assert_close(head.answer(context(), noise), actions)
    assert [bucket for _, bucket in asked] == [0, 250, 500, 750]
    for point, bucket in asked:
        torch.testing.assert_close(point, GR00T.between(noise, actions, torch.full((2,), bucket / 1000)))


@settings(deadline=None)
@given(time=st.floats(-0.0009, 1.0))
def test_a_time_is_in_the_thousandth_below_it(time):
    (bucket,) = buckets(torch.tensor([time], dtype=torch.float64)).tolist()
    assert 0 <= bucket <= 999
    assert bucket / 1000 <= max(time, 0.0) <= (bucket + 1) / 1000 + 1e-9


def test_times_are_drawn_as_published():
    torch.manual_seed(2)
    ours = drawn_times(20_000, torch.device("cpu"))
    published = (0.999 - torch.distributions.Beta(1.5, 1.0).sample((20_000,))) / 0.999
    assert -0.0011 < ours.min() < ours.max() <= 1.0
    marks = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    torch.testing.assert_close(ours.quantile(marks), published.quantile(marks), atol=0.02, rtol=0.0)


def test_several_draws_are_the_mean_over_as_many_rows():
    batch = {"actions": numbers(2, 5, 2), "mask": torch.ones(2, 5), "weight": torch.tensor([0.5, 1.5])}
    batch["mask"][1, 3:] = 0.0
    # Both are made from the same seed, and so draw the same numbers.
    several = made(draws=3).loss(context(), batch)
    one = made().loss(context(times=3), {name: values.repeat_interleave(3, 0) for name, values in batch.items()})
    torch.testing.assert_close(several.total / several.count, one.total / one.count)
    assert several.count == 16.0


def test_the_state_is_one_more_token_and_gives_no_action():
    head = made()
    state, memory, mask = head.observe(context())
    assert state.shape == (2, 1, 16)
    velocity = head.velocity(numbers(2, 5, 2), torch.tensor([3]), state, memory, mask)
    assert velocity.shape == (2, 5, 2)
    other = head.velocity(numbers(2, 5, 2), torch.tensor([3]), -state, memory, mask)
    assert not torch.allclose(velocity, other)


def test_places_tell_equal_actions_apart():
    head = made()
    observed = head.observe(context())
    equal = torch.ones(2, 5, 2)
    velocity = head.velocity(equal, torch.tensor([3]), *observed)
    assert not torch.allclose(velocity[:, 0], velocity[:, 1])
    torch.nn.init.zeros_(head.places)
    velocity = head.velocity(equal, torch.tensor([3]), *observed)
    torch.testing.assert_close(velocity[:, 0], velocity[:, 1])


def test_it_refuses_a_chunk_without_places_and_an_answer_without_noise():
    with pytest.raises(ContractError, match="a chunk of 5 actions, where there are places for 4"):
        made(longest=4)
    with pytest.raises(ContractError, match="starts from noise"):
        made().answer(context())
