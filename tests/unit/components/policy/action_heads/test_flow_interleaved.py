from __future__ import annotations

import pytest
import torch

from components.core.errors import ContractError
from components.policy.action_heads.flow import PI0
from components.policy.action_heads.flow_interleaved import InterleavedFlow
from components.policy.action_heads.interleaved_expert import ExpertSize
from components.policy.parts.segments import Context, Segment

SIZE = ExpertSize(width=12, feed=20, layers=2, heads=2, shared=1, head_width=8, theta=100.0)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def made(draws: int = 1) -> InterleavedFlow:
    torch.manual_seed(1)
    return InterleavedFlow(2, 5, SIZE, draws=draws).eval()


def context(times: int = 1) -> Context:
    seen = torch.tensor([[True, True, False, False], [True] * 4]).repeat_interleave(times, 0)
    cache = tuple((numbers(2, 1, 4, 8).repeat_interleave(times, 0),) * 2 for _ in range(2))
    return Context((Segment("text", torch.zeros(2 * times, 4, 16), seen),), torch.zeros(2, 3), seen.long(), None, cache)


def test_a_known_field_leads_through_the_head_to_its_end(monkeypatch):
    head, noise, actions = made(), numbers(2, 5, 2), numbers(2, 5, 3)[..., :2]
    points, times = [], []

    def known(point, time, _):
        points.append(point)
        times.append(time)
        return PI0.velocity(noise, actions)

    monkeypatch.setattr(head, "velocity", known)
    torch.testing.assert_close(head.answer(context(), noise), actions)
    expected = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    torch.testing.assert_close(torch.cat(times), head.time(torch.tensor(expected)), atol=1e-3, rtol=0.0)
    for point, time in zip(points, expected, strict=True):
        torch.testing.assert_close(point, PI0.between(noise, actions, torch.full((2,), time)))


def test_several_draws_are_the_mean_over_as_many_rows():
    batch = {"actions": numbers(2, 5, 2), "mask": torch.ones(2, 5)}
    batch["mask"][1, 3:] = 0.0
    several = made(draws=3).loss(context(), batch)
    one = made().loss(context(3), {name: values.repeat_interleave(3, 0) for name, values in batch.items()})
    torch.testing.assert_close(several.total / several.count, one.total / one.count)
    assert several.count == 16.0


def test_a_later_action_says_nothing_about_an_earlier_one():
    head, point, time = made(), numbers(2, 5, 2), made().time(torch.tensor([0.5]))
    changed = point.clone()
    changed[:, 3:] += 1.0
    before, after = (head.velocity(one, time, head.observe(context())) for one in (point, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_the_time_changes_the_velocity():
    head, point = made(), numbers(2, 5, 2)
    observed = head.observe(context())
    early, late = (head.velocity(point, head.time(torch.tensor([time])), observed) for time in (0.1, 0.9))
    assert not torch.allclose(early, late)


def test_it_refuses_an_answer_without_noise():
    with pytest.raises(ContractError, match="starts from noise"):
        made().answer(context())
