import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from components.bundle.contract import Contract
from components.bundle.session import PolicySession
from components.core.errors import ContractError
from components.export.onnx import to_onnx
from components.export.parity import BATCHES


def inputs(batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(batch)
    return {
        "images": rng.integers(0, 256, (batch, 2, 32, 32, 3), dtype=np.uint8),
        "state": rng.normal(size=(batch, 4)).astype(np.float32),
        "tokens": rng.integers(0, 7, (batch, 6), dtype=np.int64),
    }


def test_the_graph_has_a_free_batch_keeps_unused_images_and_is_in_evaluation_mode(
    blind_policy: torch.nn.Module, contract: Contract, tmp_path: Path
):
    contract = replace(contract, opset=18)
    data = to_onnx(blind_policy, contract, inputs(2))
    (tmp_path / "policy.onnx").write_bytes(data)
    session = PolicySession(tmp_path / "policy.onnx", contract)
    for batch in (*BATCHES, 7):
        given = inputs(batch)
        with torch.no_grad():
            expected = blind_policy(*(torch.from_numpy(given[name]) for name in contract.inputs)).numpy()
        np.testing.assert_allclose(session.run(given), expected, atol=1e-5)
    model = onnx.load_from_string(data)
    assert [node.name for node in model.graph.input] == ["images", "state", "tokens"]
    assert [entry.version for entry in model.opset_import] == [18]
    assert str(Path(__file__).parent).encode() not in data
    # Again: the same bytes, and the log of the exporter is as loud as before.
    assert to_onnx(blind_policy.train(), contract, inputs(2)) == data
    assert logging.getLogger("torch.onnx._internal.exporter._registration").level == logging.NOTSET


def test_an_example_of_one_is_refused(blind_policy: torch.nn.Module, contract: Contract):
    with pytest.raises(ContractError, match="an example batch of 1 fixes the batch axis"):
        to_onnx(blind_policy, contract, inputs(1))
