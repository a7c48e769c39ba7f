"""A teacher that answers by a small hand-made graph: the actions are a function of the state alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from components.bundle.contract import Contract, write_contract
from components.bundle.session import PolicySession
from components.bundle.verify import verify
from components.bundle.warmup import Warmup, write_warmup
from components.bundle.write import seal
from components.core.errors import BundleError, ContractError, ParamsError
from components.core.files import sha256_file, write_json
from components.core.records import Record, read_record, write_record
from components.core.spec import SAWYER_CELL
from components.core.train_params import Teacher
from components.policy.checkpoint import load_policy
from components.train.data import Windows
from components.train.jobs import Job
from components.train.teacher import load_teacher, require_teacher
from components.train.train import train_one
from components.transforms.chain import PolicyTransforms

CHUNK, TEXT = 6, 16
BODY = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
WEIGHTS = np.random.default_rng(7).normal(0, 0.5, (4, CHUNK * 4)).astype(np.float32)


def _graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["state", "w"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["bent"]),
        helper.make_node("Reshape", ["bent", "shape"], ["actions"]),
    ]
    seen = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 2, 32, 32, 3]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", 4]),
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", TEXT]),
    ]
    constants = [
        numpy_helper.from_array(WEIGHTS, "w"),
        numpy_helper.from_array(np.array([-1, CHUNK, 4], np.int64), "shape"),
    ]
    answer = helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", CHUNK, 4])
    made = helper.make_graph(nodes, "teacher", seen, [answer], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def make_teacher(tmp_path: Path) -> Callable[..., Path]:
    def make(body=BODY) -> Path:
        folder = tmp_path / "teacher"
        folder.mkdir()
        onnx.save(_graph(), folder / "policy.onnx")
        contract = Contract(body, CHUNK, 4, "chunk_regression", "hand-made", 20, TEXT)
        chain = PolicyTransforms.fit(body, [0.5] * 4, [2.0] * 4, ["press the button", "pull the drawer open"], TEXT)
        images, state = np.zeros((1, 2, 32, 32, 3), np.uint8), np.ones((1, 4), np.float32)
        session = PolicySession(folder / "policy.onnx", contract)
        inputs = chain.inputs({"fixed": images[:, 0], "wrist": images[:, 1]}, state, ["press the button"])
        write_contract(folder, contract)
        chain.save(folder)
        write_warmup(folder, Warmup(images, state, ("press the button",), chain.outputs(session.run(inputs))))
        write_record(folder, Record("bundle", sha256_file(folder / "policy.onnx"), {"checkpoint": "0" * 64}))
        write_json(folder / "parity.json", {"max_abs": 0.0, "limit": 1e-4})
        (folder / "card.md").write_text("# Teacher\n")
        seal(folder)
        return folder

    return make


def _expected(state: np.ndarray, chunk: int) -> np.ndarray:
    """What the graph says of physical states [B, 4], by hand: normalised actions [B, chunk, 4]."""
    flat = np.tanh((state - 0.5) / 2.0 @ WEIGHTS)
    return flat.reshape(-1, CHUNK, 4)[:, :chunk]


def test_targets_are_the_teachers_actions_on_the_observation_as_recorded(inputs, opened, make_teacher):
    teacher = load_teacher(make_teacher(), inputs.transforms, 4)
    loader = opened(inputs.train, seed=2)
    batch = Windows(loader, inputs.transforms, teacher=teacher).tensors(3, 9)
    raw = loader.batch(3, 9)
    np.testing.assert_allclose(batch["teacher"].numpy(), _expected(raw["state"], 4), atol=1e-5)


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_the_student_comes_closer_to_its_teacher(inputs, params, opened, make_teacher, tmp_path, weight):
    folder = make_teacher()
    digest = verify(folder)
    asked = Teacher(path="teacher", sha256=digest, weight=weight)
    changed = params.model_copy(update={"teacher": asked, "learning_rate": 3e-3})
    taught = replace(inputs, teacher=folder, digests={**inputs.digests, "teacher": digest})
    batch = Windows(
        opened(inputs.val, shuffle=False), inputs.transforms, teacher=load_teacher(folder, inputs.transforms, 4)
    ).tensors(0, 60)
    errors = {}
    for name, given, steps in (("taught", taught, 120), ("untaught", inputs, 120), ("drawn", taught, 0)):
        train_one(Job(name, 1, steps), given, changed, tmp_path / name)
        policy = load_policy(tmp_path / name)[0]
        with torch.no_grad():
            answer = policy(batch["images"], batch["state"], batch["tokens"])
        errors[name] = float((answer - batch["teacher"]).abs().mean())
    # Held-out observations; the demonstrations alone say nothing of what this teacher does.
    assert errors["taught"] < 0.6 * min(errors["drawn"], errors["untaught"]), errors
    assert read_record(tmp_path / "taught", "checkpoint").inputs["teacher"] == digest


def test_another_teacher_than_the_pinned_one_is_refused(make_teacher):
    folder = make_teacher()
    with pytest.raises(BundleError, match=r"its digest is [0-9a-f]{64}, train.teacher.sha256 says 0{64}.*manifest"):
        require_teacher(folder, Teacher(path="teacher", sha256="0" * 64), BODY, 4)
    pinned = Teacher(path="teacher", sha256=verify(folder))
    assert require_teacher(folder, pinned, BODY, CHUNK) == pinned.sha256
    with pytest.raises(ParamsError, match=r"the teacher answers 6 actions, train.chunk is 7.*at most 6"):
        require_teacher(folder, pinned, BODY, 7)
    with (folder / "policy.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"policy\.onnx is not what was sealed"):
        require_teacher(folder, pinned, BODY, 4)


def test_a_teacher_of_another_body_is_refused_by_field(make_teacher):
    folder = make_teacher(replace(BODY, name="other-cell"))
    with pytest.raises(ContractError, match=r"train.teacher .*name is 'other-cell', expected 'sawyer-cell'"):
        require_teacher(folder, Teacher(path="teacher", sha256=verify(folder)), BODY, 4)


def test_words_that_are_too_many_for_the_teacher_are_said_to_be(inputs, make_teacher):
    teacher = load_teacher(make_teacher(), inputs.transforms, 4)
    with pytest.raises(ContractError, match=r"train.teacher: the teacher cannot answer: instruction of 17 words"):
        teacher.targets(np.zeros((1, 2, 32, 32, 3), np.uint8), np.zeros((1, 4)), ["so " * 17])
