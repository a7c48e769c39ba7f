"""A small real policy bundle, and servers on loopback in a workspace of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.bundle.contract import Contract, write_contract
from components.bundle.session import PolicySession
from components.bundle.warmup import Warmup, write_warmup
from components.bundle.write import GRAPH_NAME, seal
from components.core.errors import MissingDependency
from components.core.files import sha256_file, write_json
from components.core.params import Params, load_params
from components.core.records import Record, write_record
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.transforms.chain import PolicyTransforms
from deploy.serving import Serving
from deploy.triton.environment import find_environment

CHUNK = 8
INSTRUCTIONS = ("open the drawer", "press the button")

BundleMaker = Callable[..., Path]


def _graph(gain: float, bias: float, vocab_size: int, text_len: int) -> onnx.ModelProto:
    """actions = ramp x tanh(gain x state + mean pixel + words + bias): every input matters."""
    dim, cameras, px = 4, 2, SAWYER_CELL.observation.image_px
    rng = np.random.default_rng(7)
    constants = {
        "gain": np.eye(dim, dtype=np.float32) * gain,
        "words": rng.normal(0, 0.3, (vocab_size, dim)).astype(np.float32),
        "ramp": np.linspace(1.0, 0.3, CHUNK, dtype=np.float32).reshape(1, CHUNK, 1),
        "bias": np.full((1, dim), bias, dtype=np.float32),
        "white": np.array(255.0, dtype=np.float32),
        "pixel_axes": np.array([1, 2, 3, 4], dtype=np.int64),
        "text_axis": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "pixel_axes"], ["mean5"], keepdims=0),
        helper.make_node("Div", ["mean5", "white"], ["mean"]),
        helper.make_node("Unsqueeze", ["mean", "text_axis"], ["pixel"]),
        helper.make_node("Gather", ["words", "tokens"], ["embedded"]),
        helper.make_node("ReduceSum", ["embedded", "text_axis"], ["text"], keepdims=0),
        helper.make_node("MatMul", ["state", "gain"], ["moved"]),
        helper.make_node("Sum", ["moved", "pixel", "text", "bias"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["squashed"]),
        helper.make_node("Unsqueeze", ["squashed", "text_axis"], ["one"]),
        helper.make_node("Mul", ["one", "ramp"], ["actions"]),
    ]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", cameras, px, px, 3]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", dim]),
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", text_len]),
    ]
    outputs = [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", CHUNK, dim])]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def build_bundle(folder: Path, *, gain: float = 1.0, bias: float = 0.0, warmup_off_by: float = 0.0) -> Path:
    """A sealed bundle of a tiny network; `warmup_off_by` makes its examples expect something else than it answers."""
    folder.mkdir(parents=True)
    transforms = PolicyTransforms.fit(SAWYER_CELL, [0.0, 0.6, 0.2, 0.5], [0.1, 0.1, 0.1, 0.3], INSTRUCTIONS)
    transforms.save(folder)
    model = _graph(gain, bias, transforms.vocab_size, transforms.text_len)
    onnx.checker.check_model(model)
    (folder / GRAPH_NAME).write_bytes(model.SerializeToString())
    contract = Contract(SAWYER_CELL, CHUNK, 4, "chunk_regression", "test", 20, transforms.text_len)
    write_contract(folder, contract)
    rng = np.random.default_rng(11)
    images = rng.integers(0, 256, (12, 2, 96, 96, 3), dtype=np.uint8)
    state = rng.normal([0.0, 0.6, 0.2, 0.5], 0.1, (12, 4)).astype(np.float32)
    words = INSTRUCTIONS * 6
    session = PolicySession(folder / GRAPH_NAME, contract)
    inputs = transforms.inputs({"fixed": images[:, 0], "wrist": images[:, 1]}, state, words)
    actions = transforms.outputs(session.run(inputs)) + np.float32(warmup_off_by)
    write_warmup(folder, Warmup(images, state, words, actions))
    write_json(folder / "parity.json", {"max_abs": 0.0})
    (folder / "card.md").write_text("# A policy for tests\n")
    write_record(folder, Record("bundle", sha256_file(folder / GRAPH_NAME), {"checkpoint": "0" * 64}))
    seal(folder)
    return folder


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleMaker:
    """Builds bundles: `make_bundle(name, gain=..., bias=..., warmup_off_by=...)`."""
    root = tmp_path_factory.mktemp("bundles")

    def make(name: str, **options: float) -> Path:
        folder = root / name
        return folder if folder.exists() else build_bundle(folder, **options)

    return make


@pytest.fixture(scope="session")
def tiny_bundle(make_bundle: BundleMaker) -> Path:
    return make_bundle("one")


@pytest.fixture(scope="session")
def other_bundle(make_bundle: BundleMaker) -> Path:
    return make_bundle("two", gain=-1.0, bias=0.2)


@pytest.fixture(scope="session")
def require_servers() -> None:
    """Skips where the serving environment is missing; a broken one fails."""
    try:
        find_environment()
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture(scope="module")
def workspace(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    shutil.copy(project / "params.yaml", root)
    return Workspace(root)


@pytest.fixture(scope="module")
def serving(workspace: Workspace, params: Params, require_servers: None) -> Iterator[Serving]:
    """Nothing runs at first; whatever a module starts is stopped when it ends."""
    found = Serving.attach(workspace, params)
    yield found
    found.stop()
