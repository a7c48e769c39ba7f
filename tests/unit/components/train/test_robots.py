"""Two robots in one batch: that of the other tests, and one with fewer states, fewer actions and one camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.core.errors import ContractError
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.policy.bodies import Bodies
from components.policy.presets import PolicyConfig
from components.train.data import Windows
from components.train.module import PolicyTraining, masked_huber
from components.transforms.chain import PolicyTransforms


@pytest.fixture
def robots(inputs, narrow):
    """Transforms of both: states as they are, and (state - 1) / 2."""
    words = ("press the button", "pull the drawer open")
    other = PolicyTransforms.fit(narrow.dataset.embodiment, [1.0] * 3, [2.0] * 3, words, text_len=6)
    return inputs.transforms, other


@pytest.fixture
def loader(inputs, narrow):
    with Loader((*inputs.train.parts, narrow), LoaderSettings(4, pool_windows=64, threads=1), seed=0) as opened:
        yield opened


def test_every_robot_has_its_own_transforms_and_padding_stays_0(loader, robots):
    raw, batch = loader.batch(0, 200), Windows(loader, *robots).tensors(0, 200)
    other = raw["source"] == 1
    assert other.any()
    np.testing.assert_array_equal(batch["body"].numpy(), raw["source"])
    np.testing.assert_array_equal(batch["state"][other, 3:], 0.0)
    np.testing.assert_allclose(batch["state"][other, :3], (raw["state"][other, :3] - 1.0) / 2.0, atol=1e-6)
    np.testing.assert_allclose(batch["state"][~other], raw["state"][~other], atol=1e-6)
    np.testing.assert_array_equal(batch["actions"][other, :, 3:], 0.0)
    np.testing.assert_array_equal(batch["images"][other, 0], 0)


def test_cameras_lie_where_the_policies_expect_them_whatever_the_loader_holds(narrow, robots):
    with Loader((narrow,), LoaderSettings(4, threads=1), seed=0, shuffle=False) as alone:
        raw, batch = alone.batch(0, 5), Windows(alone, *robots).tensors(0, 5)
        assert batch["body"].tolist() == [1] * 5
        np.testing.assert_array_equal(batch["images"][:, 1], raw["images"][:, 0])
        assert not batch["images"][:, 0].any()
        with pytest.raises(ContractError, match="no transforms of narrow, the loader holds narrow"):
            Windows(alone, robots[0])


def test_the_loss_is_a_mean_over_all_numbers_and_validation_tells_robots_apart(loader, robots, params):
    torch.manual_seed(0)
    bodies = Bodies([PolicyConfig("gripline-tiny", one.embodiment, one.vocab_size, 6, 4) for one in robots])
    module, batch = PolicyTraining(bodies, params, 5), Windows(loader, *robots).tensors(0, 240)
    sums = {}
    with torch.no_grad():
        for name, policy, part in bodies.groups(batch):
            found = policy(part["images"], part["state"], part["tokens"])
            sums[name] = masked_huber(found, part["actions"], part["mask"], params.huber_beta)
    totals, counts = (sum(float(one[at]) for one in sums.values()) for at in (0, 1))
    assert module.training_step(batch, 0).item() == pytest.approx(totals / counts, rel=1e-5)
    module.on_validation_epoch_start()
    module.validation_step(batch, 0)
    module.on_validation_epoch_end()
    assert module.val_loss == pytest.approx(totals / counts, rel=1e-5)
    expected = {name: float(total) / float(count) for name, (total, count) in sums.items()}
    assert module.val_losses == pytest.approx(expected, rel=1e-5)
    assert set(expected) == {"sawyer-cell", "narrow"}
