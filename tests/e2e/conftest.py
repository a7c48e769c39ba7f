"""A small real policy bundle, and servers on loopback in a workspace of their own."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from deploy.client.client import EpisodeRecord, PolicyClient, PolicyUnavailable
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


@dataclass
class Answered:
    """One answered request: when it was sent, which of its episode it was, and which version answered."""

    sent: float
    episode: int
    step: int
    version: str


class Fleet:
    """Robots in threads, each running one episode after another through the gateway until told to stop."""

    def __init__(self, url: str, timeout_s: float, robots: int, steps: int) -> None:
        self.answered: list[Answered] = []
        self.records: list[EpisodeRecord] = []
        self.errors: list[str] = []
        self._arguments = (url, timeout_s, steps)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(robot,)) for robot in range(robots)]

    @property
    def switches(self) -> int:
        """Episodes that more than one version answered."""
        return sum(len(record.versions) > 1 for record in self.records)

    def __enter__(self) -> Fleet:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, robot: int) -> None:
        url, timeout_s, steps = self._arguments
        images = {camera: np.full((96, 96, 3), robot, np.uint8) for camera in ("fixed", "wrist")}
        episode = robot * 1_000_000
        with PolicyClient(url, timeout_s) as client:
            while not self._stop.is_set():
                client.begin_episode(INSTRUCTIONS[0])
                episode += 1
                for step in range(steps):
                    sent = time.monotonic()
                    try:
                        chunk = client.act(images, np.array([0.0, 0.6, 0.2, 0.5], np.float32))
                    except PolicyUnavailable as error:
                        self.errors.append(str(error))
                        time.sleep(0.02)
                    else:
                        self.answered.append(Answered(sent, episode, step, chunk.version))
                self.records.append(client.end_episode("success"))


FleetMaker = Callable[..., Fleet]


@pytest.fixture
def make_fleet(serving: Serving, params: Params) -> FleetMaker:
    """`make_fleet(robots=..., steps=...)`: a context within which robots ask the gateway."""
    return lambda robots=6, steps=6: Fleet(serving.url, params.serving.request_timeout_s, robots, steps)
