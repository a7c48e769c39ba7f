from __future__ import annotations

import pytest
import torch
from torch import nn

from components.core.errors import DatasetError
from components.policy.losses import Loss
from components.train.module import PolicyTraining, learning_rate_factor, masked_huber


class _Constant(nn.Module):
    """Answers one number, whatever it sees."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, images, state, tokens):
        return self.value.expand(len(state), 2, 3)


class _Own(_Constant):
    """Is trained by a loss of its own, whatever it answers."""

    def training_loss(self, batch):
        return Loss(self.value * 12.0, torch.tensor(4.0), {})


def _batch(actions: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = len(actions)
    return {"images": torch.zeros(rows), "state": torch.zeros(rows), "tokens": torch.zeros(rows)} | {
        "actions": actions,
        "mask": mask,
    }


def test_huber_is_quadratic_near_and_linear_far():
    near = masked_huber(torch.tensor([[[0.05]]]), torch.zeros(1, 1, 1), torch.ones(1, 1), beta=0.1)
    far = masked_huber(torch.tensor([[[2.0]]]), torch.zeros(1, 1, 1), torch.ones(1, 1), beta=0.1)
    assert float(near[0]) == pytest.approx(0.5 * 0.05**2 / 0.1)
    assert float(far[0]) == pytest.approx(2.0 - 0.05)


def test_what_lies_past_the_end_does_not_count():
    predicted, target = torch.zeros(2, 2, 3), torch.ones(2, 2, 3)
    target[0, 1] = 1e6
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    total, count = masked_huber(predicted, target, mask, beta=0.1)
    assert count.item() == 9
    assert (total / count).item() == pytest.approx(0.95)


def test_a_weight_scales_what_a_window_says_and_not_what_it_is_divided_by():
    predicted, target = torch.zeros(2, 2, 3, requires_grad=True), torch.full((2, 2, 3), 1.05)
    mask, weight = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([2.0, 0.5])
    total, count = masked_huber(predicted, target, mask, beta=0.1, weight=weight)
    assert count.item() == 9
    assert total.item() == pytest.approx(3 * 1.0 * 2.0 + 6 * 1.0 * 0.5)
    total.backward()
    assert predicted.grad[:, :, 0].tolist() == [[-2.0, 0.0], [-0.5, -0.5]]


def test_the_learning_rate_warms_up_and_dies_down():
    factors = [learning_rate_factor(step, 100, 10) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1.0
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0.0, abs=1e-12)
    assert min(factors[:100]) > 0.0


def test_validation_is_a_mean_over_actions_not_over_batches(params):
    training = PolicyTraining(_Constant(0.0), params, steps=1)
    training.on_validation_epoch_start()
    training.validation_step(_batch(torch.full((8, 2, 3), 1.05), torch.ones(8, 2)), 0)
    training.validation_step(_batch(torch.full((1, 2, 3), 10.05), torch.ones(1, 2)), 1)
    training.on_validation_epoch_end()
    assert training.val_loss == pytest.approx((8 * 1.0 + 10.0) / 9, rel=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(params, value):
    training = PolicyTraining(_Constant(value), params, steps=1)
    with pytest.raises(DatasetError, match=r"the loss is (nan|inf) at step 0"):
        training.training_step(_batch(torch.zeros(1, 2, 3), torch.ones(1, 2)), 0)


def test_gradients_are_cut_to_the_norm(params):
    training = PolicyTraining(_Constant(5.0), params.model_copy(update={"clip_norm": 0.25}), steps=1)
    training.policy.value.grad = torch.tensor(3.0)
    training.configure_gradient_clipping(torch.optim.SGD(training.policy.parameters(), lr=1.0))
    assert training.grad_norm == pytest.approx(3.0)
    assert training.policy.value.grad.item() == pytest.approx(0.25, rel=1e-4)


def test_a_policy_may_bring_its_own_training_loss_and_is_validated_by_its_answers(params):
    training, batch = PolicyTraining(_Own(2.0), params, steps=1), _batch(torch.full((1, 2, 3), 3.05), torch.ones(1, 2))
    assert training.training_step(batch, 0).item() == pytest.approx(6.0)
    training.on_validation_epoch_start()
    training.validation_step(batch, 0)
    training.on_validation_epoch_end()
    assert training.val_loss == pytest.approx(1.0)
