from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from components.bundle.contract import Contract
from components.bundle.session import PolicySession
from components.export.graph import node_count
from components.export.onnx import to_onnx
from components.export.parity import BATCHES
from components.policy.act.policy import ActPolicy
from components.policy.act.sizes import ActSize
from components.policy.shape import Shape

SIZE = ActSize(width=64, heads=4, feed=128, encoder_layers=2, latent=8, channels=8)


def inputs(batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(batch)
    return {
        "images": rng.integers(0, 256, (batch, 2, 32, 32, 3), dtype=np.uint8),
        "state": rng.normal(size=(batch, 4)).astype(np.float32),
        "tokens": rng.integers(0, 7, (batch, 6), dtype=np.int64),
    }


@pytest.mark.parametrize("blind", [False, True])
def test_act_is_one_graph_with_a_free_batch(contract: Contract, tmp_path, blind: bool):
    import onnx

    torch.manual_seed(1)
    policy = ActPolicy(Shape(contract.embodiment, 7, 6, contract.chunk), SIZE, blind=blind)
    data = to_onnx(policy.train(), contract, inputs(2))
    (tmp_path / "policy.onnx").write_bytes(data)
    session = PolicySession(tmp_path / "policy.onnx", contract)
    for batch in (*BATCHES, 7):
        given = inputs(batch)
        with torch.no_grad():
            expected = policy(*(torch.from_numpy(given[name]) for name in contract.inputs)).numpy()
        np.testing.assert_allclose(session.run(given), expected, atol=1e-4)
    # What reads the actions while training is no part of it.
    model = onnx.load_from_string(data)
    assert not any("latent_encoder" in tensor.name for tensor in model.graph.initializer)
    assert node_count(model.graph) < 500
    assert hashlib.sha256(to_onnx(policy, contract, inputs(2))).digest() == hashlib.sha256(data).digest()
