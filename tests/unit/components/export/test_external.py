"""A foreign graph between its own units and those of a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from components.bundle.contract import Contract
from components.bundle.session import PolicySession
from components.core.errors import BundleError, ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec
from components.export.external import Recorded, _load, unit_graph
from components.policy.external_samples import Samples
from components.transforms.steps import Bounds

LIMITS = ((-0.5, 2.0), (10.0, 400.0))
GROUP = ActionGroup("arm", ("a", "b"), "rad", "base", "absolute", *(tuple(side) for side in zip(*LIMITS, strict=True)))
BODY = replace(
    SAWYER_CELL,
    observation=replace(SAWYER_CELL.observation, image_px=8),
    action=ActionSpec((GROUP,), 20.0, "position"),
)
CONTRACT = Contract(BODY, 1, 1, "external", "linear", 20, 3)


def physical_graph() -> onnx.ModelProto:
    """Answers the first two dimensions of the state, and adds nothing of images and words."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["bright"], keepdims=0),
        helper.make_node("Cast", ["tokens"], ["words"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["state", "matrix"], ["seen"]),
        helper.make_node("ReduceMean", ["words", "last"], ["said"], keepdims=1),
        helper.make_node("Unsqueeze", ["bright", "last"], ["column"]),
        helper.make_node("Add", ["column", "said"], ["other"]),
        helper.make_node("Mul", ["other", "zero"], ["nothing"]),
        helper.make_node("Add", ["seen", "nothing"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "last"], ["actions"]),
    ]
    constants = {"axes": np.array([1, 2, 3, 4]), "last": np.array([1]), "zero": np.float32(0)}
    constants |= {"matrix": np.eye(4, 2, dtype=np.float32)}
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 2, 8, 8, 3]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", 3]),
    ]
    outputs = [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["n", 1, 2])]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "physical", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> PolicySession:
    path = tmp_path_factory.mktemp("graph") / "policy.onnx"
    path.write_bytes(unit_graph(physical_graph(), CONTRACT))
    return PolicySession(path, CONTRACT)


def observe(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    return {
        "images": rng.integers(0, 256, (count, 2, 8, 8, 3), dtype=np.uint8),
        "state": rng.uniform(-1, 500, (count, 4)).astype(np.float32),
        "tokens": rng.integers(0, 5, (count, 3)),
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9))
def test_the_answer_is_that_of_the_chain_that_unnormalises_it(session, count):
    inputs = observe(count)
    found = Bounds(GROUP.low, GROUP.high).inverse(session.run(inputs))
    np.testing.assert_allclose(found[:, 0], inputs["state"][:, :2], rtol=1e-5, atol=1e-4)


def test_the_same_graph_gives_the_same_bytes():
    assert unit_graph(physical_graph(), CONTRACT) == unit_graph(physical_graph(), CONTRACT)


def test_what_was_recorded_is_repeated_in_any_order_and_nothing_else_is_known():
    inputs, places = observe(5), np.zeros(5, np.int64)
    actions = np.stack([np.array(side, np.float32) for side in zip(*LIMITS, strict=True)])[[0, 1, 0, 1, 0], None]
    known = Recorded(
        Samples(inputs["images"], inputs["state"], inputs["tokens"], actions, places, places), CONTRACT
    )  # fmt: skip
    order = [3, 0, 4]
    found = known({name: array[order] for name, array in inputs.items()})
    np.testing.assert_array_equal(found[:, 0, 0], [1.0, -1.0, -1.0])
    with pytest.raises(ContractError, match="none of the samples"):
        known(observe(4))


def test_weights_in_another_file_are_refused(tmp_path: Path):
    model = physical_graph()
    onnx.save(model, tmp_path / "policy.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin")
    with pytest.raises(BundleError, match=r"lies in another file.*Save the graph as one file"):
        _load(tmp_path / "policy.onnx")


def test_what_is_no_graph_is_refused(tmp_path: Path):
    (tmp_path / "policy.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(BundleError, match="not an ONNX file"):
        _load(tmp_path / "policy.onnx")
