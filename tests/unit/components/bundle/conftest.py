"""A complete bundle around a small hand-made graph: no torch, milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.bundle.bundle import load_bundle
from components.bundle.contract import Contract, write_contract
from components.bundle.session import PolicySession
from components.bundle.warmup import Warmup, write_warmup
from components.bundle.write import seal
from components.core.files import sha256_file, write_json
from components.core.records import Record, write_record
from components.core.spec import SAWYER_CELL
from components.transforms.chain import PolicyTransforms

CHUNK, TEXT, WORDS = 8, 6, 3
INSTRUCTIONS = ("open the drawer", "open the drawer now", "the drawer")

MakeBundle = Callable[..., Path]


def contract() -> Contract:
    return Contract(SAWYER_CELL, CHUNK, 4, "chunk_regression", "hand-made", 20, TEXT)


def transforms() -> PolicyTransforms:
    return PolicyTransforms.fit(SAWYER_CELL, [0.0, 0.6, 0.2, 0.5], [0.1] * 4, INSTRUCTIONS[:1], TEXT)


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "words": rng.normal(size=(2 + WORDS, 3)).astype(np.float32),
        "w": rng.normal(size=(2 + 4 + 3, CHUNK * 4)).astype(np.float32) * 0.3,
        "b": rng.normal(size=CHUNK * 4).astype(np.float32) * 0.1,
    }


def graph(values: dict[str, np.ndarray], batch: str | int = "batch", last: str = "Identity") -> onnx.ModelProto:
    """Mean brightness per camera, state and mean word embedding -> one linear layer -> `last`."""
    ints = {"pixels": [2, 3, 4], "words_axis": [1], "shape": [-1, CHUNK, 4]}
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in ints.items()]
    nodes = [
        helper.make_node("Cast", ["images"], ["bright"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["bright", "pixels"], ["seen"], keepdims=0),
        helper.make_node("Gather", ["words", "tokens"], ["embedded"]),
        helper.make_node("ReduceMean", ["embedded", "words_axis"], ["heard"], keepdims=0),
        helper.make_node("Concat", ["seen", "state", "heard"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "w", "b"], ["flat"]),
        helper.make_node(last, ["flat"], ["answer"]),
        helper.make_node("Reshape", ["answer", "shape"], ["actions"]),
    ]
    made = helper.make_graph(
        nodes,
        "hand-made",
        [
            helper.make_tensor_value_info("images", TensorProto.UINT8, [batch, 2, 96, 96, 3]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [batch, 4]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [batch, TEXT]),
        ],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [batch, CHUNK, 4])],
        [*constants, *(numpy_helper.from_array(value, name) for name, value in values.items())],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def observations(count: int = 3) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 2, 96, 96, 3), dtype=np.uint8)
    return images, rng.normal(0.3, 0.1, (count, 4)).astype(np.float32), INSTRUCTIONS[:count]


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Writes and seals a bundle; `model` replaces its graph, `touch` is called with the folder before the seal."""

    def make(
        name: str = "bundle", *, model: onnx.ModelProto | None = None, touch: Callable[[Path], object] | None = None
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        onnx.save(graph(weights()), folder / "policy.onnx")
        images, state, instructions = observations()
        cameras = {"fixed": images[:, 0], "wrist": images[:, 1]}
        chain = transforms()
        session = PolicySession(folder / "policy.onnx", contract())
        expected = chain.outputs(session.run(chain.inputs(cameras, state, instructions)))
        if model is not None:
            onnx.save(model, folder / "policy.onnx")
        write_contract(folder, contract())
        chain.save(folder)
        write_warmup(folder, Warmup(images, state, instructions, expected))
        write_record(folder, Record("bundle", sha256_file(folder / "policy.onnx"), {"checkpoint": "0" * 64}))
        write_json(folder / "parity.json", {"max_abs": 0.0, "limit": 1e-4})
        (folder / "card.md").write_text("# Policy\n")
        if touch is not None:
            touch(folder)
        seal(folder)
        return folder

    return make


@pytest.fixture
def hand_made() -> Callable[..., onnx.ModelProto]:
    """The graph with some weights replaced."""

    def make(*, batch: str | int = "batch", last: str = "Identity", **changed: np.ndarray) -> onnx.ModelProto:
        return graph({**weights(), **changed}, batch, last)

    return make


@pytest.fixture
def bundle(make_bundle: MakeBundle):
    return load_bundle(make_bundle())
