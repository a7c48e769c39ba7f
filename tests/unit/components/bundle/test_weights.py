from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from components.bundle.weights import require_finite_weights
from components.core.errors import BundleError


@pytest.fixture
def check(tmp_path: Path) -> Callable[[onnx.ModelProto], int]:
    def run(model: onnx.ModelProto) -> int:
        onnx.save(model, tmp_path / "policy.onnx")
        return require_finite_weights(tmp_path / "policy.onnx")

    return run


def model_with(tensor: onnx.TensorProto, *, node: onnx.NodeProto | None = None) -> onnx.ModelProto:
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    nodes = [node or helper.make_node("Identity", [tensor.name], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [], [out], [] if node else [tensor]))


def test_sound_weights_are_counted(check: Callable, hand_made: Callable):
    assert check(hand_made()) == 6


def test_a_nan_in_a_word_that_nobody_says_is_found(check: Callable, hand_made: Callable):
    words = np.ones((5, 3), np.float32)
    words[4, 2] = np.nan
    with pytest.raises(BundleError, match="weight 'words' holds NaN"):
        check(hand_made(words=words))


def test_infinity_is_let_through(check: Callable):
    assert check(model_with(numpy_helper.from_array(np.array([np.inf, -np.inf], np.float32), "mask"))) == 1


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_every_float_type_is_looked_at(check: Callable, kind: int):
    array = np.array([1.0, np.nan], helper.tensor_dtype_to_np_dtype(kind))
    with pytest.raises(BundleError, match="weight 'w' holds NaN"):
        check(model_with(helper.make_tensor("w", kind, [2], array.tobytes(), raw=True)))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_floats_outside_raw_data_are_looked_at(check: Callable, kind: int):
    with pytest.raises(BundleError, match="weight 'w' holds NaN"):
        check(model_with(helper.make_tensor("w", kind, [2], [1.0, float("nan")])))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_floats_outside_raw_data_are_refused(check: Callable, kind: int):
    with pytest.raises(BundleError, match="'w' keeps half floats as integers"):
        check(model_with(helper.make_tensor("w", kind, [2], [1.0, float("nan")])))


def test_integers_whose_bits_look_like_nan_are_no_nan(check: Callable):
    assert check(model_with(numpy_helper.from_array(np.array([0x7FC00000], np.int32), "w"))) == 1


def test_constants_in_nodes_and_in_inner_graphs_are_looked_at(check: Callable):
    bad = numpy_helper.from_array(np.array([np.nan], np.float32), "hidden")
    constant = helper.make_node("Constant", [], ["y"], value=bad)
    with pytest.raises(BundleError, match="'hidden' holds NaN"):
        check(model_with(bad, node=constant))
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    with pytest.raises(BundleError, match="'hidden' holds NaN"):
        check(model_with(bad, node=branch))


def test_weights_in_another_file_are_refused(check: Callable):
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "big")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="big.bin")
    with pytest.raises(BundleError, match="'big' lies in another file"):
        check(model_with(tensor))


def test_a_file_without_weights_or_cut_short_is_refused(tmp_path: Path, hand_made: Callable):
    path = tmp_path / "policy.onnx"
    path.write_bytes(b"")
    with pytest.raises(BundleError, match="without a weight"):
        require_finite_weights(path)
    path.write_bytes(hand_made().SerializeToString()[:-20])
    with pytest.raises(BundleError, match="not an ONNX file"):
        require_finite_weights(path)


@given(data=st.binary(max_size=64))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_a_count_or_a_bundle_error(tmp_path: Path, data: bytes):
    path = tmp_path / "policy.onnx"
    path.write_bytes(data)
    try:
        assert require_finite_weights(path) >= 1
    except BundleError as error:
        assert "policy.onnx" in str(error)  # noqa: PT017
