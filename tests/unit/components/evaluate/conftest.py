"""Sealed bundles that steer by hand-made rules: no training, milliseconds, and they really press the button."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.bundle.contract import Contract, write_contract
from components.bundle.session import PolicySession
from components.bundle.warmup import Warmup, write_warmup
from components.bundle.write import seal
from components.core.files import sha256_file, write_json
from components.core.params import Params, load_params
from components.core.records import Record, write_record
from components.core.spec import SAWYER_CELL
from components.transforms.chain import PolicyTransforms

CHUNK, TEXT = 4, 8

# Straight to the middle of the table and, on the way, down: hits the button where it stands near the middle.
PRESS = (np.diag([-10.0, -10.0, 0.0, 0.0]) + np.outer([0, 1, 0, 0], [0, 0, -20.0, 0]), np.array([0, 8.0, 15.0, 1.0]))
STAND = (np.zeros((4, 4)), np.zeros(4))
RULES = {"press": PRESS, "stand": STAND}

MakeBundle = Callable[..., Path]


def _graph(rule: tuple[np.ndarray, np.ndarray]) -> onnx.ModelProto:
    """state [B, 4] -> clip(state @ weights + bias) repeated over the chunk; images and words are not looked at."""
    weights, bias = rule
    constants = {
        "w": np.tile(weights, (1, CHUNK)).astype(np.float32),
        "b": np.tile(bias, CHUNK).astype(np.float32),
        "low": np.array(-1.0, np.float32),
        "high": np.array(1.0, np.float32),
        "shape": np.array([-1, CHUNK, 4], np.int64),
    }
    nodes = [
        helper.make_node("Gemm", ["state", "w", "b"], ["flat"]),
        helper.make_node("Clip", ["flat", "low", "high"], ["cut"]),
        helper.make_node("Reshape", ["cut", "shape"], ["actions"]),
    ]
    inputs = {"images": (TensorProto.UINT8, [2, 96, 96, 3]), "state": (TensorProto.FLOAT, [4])}
    inputs["tokens"] = (TensorProto.INT64, [TEXT])
    made = helper.make_graph(
        nodes,
        "rule",
        [helper.make_tensor_value_info(name, kind, ["batch", *shape]) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", CHUNK, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_bundle(
    folder: Path,
    rule: str,
    *,
    tasks: Mapping[str, int],
    blind: bool = False,
    wordless: bool = False,
    parity: Mapping[str, float | None] | None = None,
    robot: str = SAWYER_CELL.name,
) -> Path:
    """`rule` is one of RULES; `tasks`: episodes by task that the bundle claims to be trained on."""
    body = replace(SAWYER_CELL, name=robot)
    folder.mkdir(parents=True)
    onnx.save(_graph(RULES[rule]), folder / "policy.onnx")
    contract = Contract(body, CHUNK, 1, "chunk_regression", "hand-made", 20, TEXT)
    chain = PolicyTransforms.fit(body, [0.0] * 4, [1.0] * 4, ["press the button"], TEXT)
    images, state = np.zeros((2, 2, 96, 96, 3), np.uint8), np.full((2, 4), 0.3, np.float32)
    words = ("press the button", "the button")
    cameras = {"fixed": images[:, 0], "wrist": images[:, 1]}
    session = PolicySession(folder / "policy.onnx", contract)
    write_warmup(folder, Warmup(images, state, words, chain.outputs(session.run(chain.inputs(cameras, state, words)))))
    write_contract(folder, contract)
    chain.save(folder)
    attrs = {"blind": blind, "wordless": wordless, "episodes": {"task": dict(tasks)}}
    write_record(folder, Record("bundle", sha256_file(folder / "policy.onnx"), {"checkpoint": "0" * 64}, attrs=attrs))
    write_json(folder / "parity.json", dict(parity) if parity is not None else {"max_abs": 0.0, "limit": 1e-4})
    (folder / "card.md").write_text("# Rule\n")
    seal(folder)
    return folder


@pytest.fixture
def make_bundle() -> MakeBundle:
    return write_bundle


@pytest.fixture(scope="session")
def params(project: Path) -> Params:
    """Few rollouts, a new look at every step."""
    loaded = load_params(project / "params.yaml")
    changed = {"rollouts_per_task": 6, "untrained_rollouts_per_task": 2, "execute": 1, "seed": 100_000}
    changed |= {"horizon": 25, "swapped_rollouts_per_pair": 2}
    return loaded.model_copy(update={"evaluate": loaded.evaluate.model_copy(update=changed)})
