import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bundle.bundle import Bundle, load_bundle
from components.bundle.contract import Contract
from components.bundle.session import PolicySession
from components.core.errors import UsageError
from components.core.files import read_json
from components.export.degradations import ActionLag, ActionNoise, Degradation
from components.export.degrade import degrade, degraded_graph, main
from components.export.observations import Observations

Observe = Callable[..., Observations]
EVERY = [ActionNoise(0.7), ActionNoise(0.1, ("dz", "effort")), ActionLag(1), ActionLag(7)]


@pytest.fixture(scope="module")
def original(exported: Path) -> Bundle:
    return load_bundle(exported)


@pytest.mark.parametrize("degradation", EVERY, ids=str)
def test_a_degraded_bundle_passes_every_check_of_a_bundle(
    original: Bundle, tmp_path: Path, degradation: Degradation, observe: Observe
):
    made = degrade(original.folder, tmp_path / "drill", degradation)
    bundle = load_bundle(tmp_path / "drill", expect=original.contract.embodiment)
    assert bundle.digest == made.digest != original.digest
    assert bundle.warm_up() <= 1e-5
    assert bundle.contract == original.contract
    assert bundle.record.inputs == original.record.inputs
    attrs = {"derived_from": original.digest, "degradation": degradation.as_dict(), "blind": False}
    assert bundle.record.attrs == attrs
    assert read_json(tmp_path / "drill" / "parity.json")["max_abs"] <= 1e-5
    assert "Degraded on purpose" in (tmp_path / "drill" / "card.md").read_text()
    seen = observe(6)
    found = bundle.act(seen.images, seen.state, seen.instructions)
    assert np.abs(found).max() <= 1.0
    assert np.abs(found - original.act(seen.images, seen.state, seen.instructions)).max() > 0.05


def test_the_same_degradation_gives_the_same_bytes(original: Bundle, tmp_path: Path, observe: Observe):
    first = degrade(original.folder, tmp_path / "one" / "drill", ActionNoise())
    assert degrade(original.folder, tmp_path / "two" / "drill", ActionNoise()).digest == first.digest
    more = degrade(original.folder, tmp_path / "three" / "drill", ActionNoise(), observations=observe(12))
    assert more.parity["samples"] == 12


def test_a_degraded_bundle_is_not_degraded_again(original: Bundle, tmp_path: Path):
    degrade(original.folder, tmp_path / "drill", ActionLag(2))
    with pytest.raises(UsageError, match="degraded already"):
        degrade(tmp_path / "drill", tmp_path / "worse", ActionLag(2))


def test_the_command_degrades_the_dimensions_that_are_steps(
    original: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    assert main([str(original.folder), str(tmp_path / "drill"), "0.4"]) == 0
    noise = {"kind": "action_noise", "sigma": 0.4, "names": ["dx", "dy", "dz"]}
    assert load_bundle(tmp_path / "drill").record.attrs["degradation"] == noise
    assert main([str(original.folder), str(tmp_path / "drill"), "0"]) == 2
    assert "changes nothing" in caplog.text
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "drill"), "0.4"]) == 3
    assert load_bundle(tmp_path / "drill").record.attrs["degradation"] == noise


def test_a_drill_needs_no_torch(project: Path):
    probe = "import sys, components.export.degrade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=project, check=False, timeout=120).returncode == 0


@given(
    brightness=st.integers(0, 255),
    state=st.lists(st.floats(-1e9, 1e9, width=32), min_size=4, max_size=4),
    action=st.floats(-3, 3, width=32),
    which=st.integers(0, len(EVERY) - 1),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nodes_and_numpy_agree_for_any_observation(
    sessions: list[PolicySession],
    contract: Contract,
    brightness: int,
    state: list[float],
    action: float,
    which: int,
):
    """The graph under test answers its own first state value everywhere, so its clean actions are known."""
    inputs = {
        "images": np.full((2, 2, 32, 32, 3), brightness, np.uint8),
        "state": np.array([[action, *state[1:]]] * 2, np.float32),
        "tokens": np.zeros((2, contract.text_len), np.int64),
    }
    clean = np.full((2, contract.chunk, 4), np.float32(action), np.float32)
    expected = EVERY[which].apply(clean, inputs, contract)
    np.testing.assert_allclose(sessions[which].run(inputs), expected, atol=1e-5)


@pytest.fixture(scope="module")
def sessions(contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> list[PolicySession]:
    from onnx import TensorProto, helper, numpy_helper

    names, shapes = ("images", "state", "tokens"), ([2, 32, 32, 3], [4], [contract.text_len])
    kinds = (TensorProto.UINT8, TensorProto.FLOAT, TensorProto.INT64)
    nodes = [
        helper.make_node("Gather", ["state", "first"], ["value"], axis=1),
        helper.make_node("Expand", ["value", "shape"], ["wide"]),
        helper.make_node("Reshape", ["wide", "chunked"], ["actions"]),
    ]
    dim = contract.embodiment.action.dim
    values = {"first": [0], "shape": [1, contract.chunk * dim], "chunked": [-1, contract.chunk, dim]}
    graph = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info(n, k, ["batch", *s]) for n, k, s in zip(names, kinds, shapes, strict=True)],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", contract.chunk, dim])],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    made = []
    for degradation in EVERY:
        path = tmp_path_factory.mktemp("echo") / "policy.onnx"
        path.write_bytes(degraded_graph(model.SerializeToString(), degradation, contract))
        made.append(PolicySession(path, contract))
    return made


def _inputs(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (count, 2, 32, 32, 3), dtype=np.uint8),
        "state": rng.normal(size=(count, 4)).astype(np.float32),
    }


def test_noise_has_the_spread_asked_for_and_leaves_other_dimensions(contract: Contract):
    noise = ActionNoise(0.7, ("dx", "dz")).apply(np.zeros((400, 8, 4), np.float32), _inputs(400), contract)
    rms = np.sqrt((noise**2).mean(axis=(0, 1)))
    np.testing.assert_allclose(rms, [0.7, 0.0, 0.7, 0.0], atol=0.05)
    assert np.abs(noise.mean(axis=(0, 1))).max() < 0.1


def test_noise_jumps_with_one_pixel_and_is_steady_within_a_chunk(contract: Contract):
    inputs = _inputs(1)
    inputs = {name: np.repeat(value, 400, axis=0) for name, value in inputs.items()}
    for row in range(400):
        inputs["images"][row, 0, row % 32, row // 32, :] //= 2
    noise = ActionNoise(1.0).apply(np.zeros((400, 8, 4), np.float32), inputs, contract)
    between, within = np.abs(np.diff(noise[:, 0, 0])).mean(), np.abs(np.diff(noise[:, :4, 0], axis=1)).mean()
    assert len(np.unique(noise[:, 0, 0])) > 100
    assert within < 0.5
    assert np.isfinite(between)


def test_noise_starts_from_what_a_robot_would_have_done(contract: Contract):
    """A clean answer far outside the limits must not hide the noise behind the clamp."""
    inputs = _inputs(50)
    wild = ActionNoise(0.7).apply(np.full((50, 8, 4), 9.0, np.float32), inputs, contract)
    edge = ActionNoise(0.7).apply(np.ones((50, 8, 4), np.float32), inputs, contract)
    np.testing.assert_array_equal(wild, edge)


def test_a_lag_shifts_the_chunk_and_stands_still_before(contract: Contract):
    arm = replace(contract.embodiment.action.groups[0], low=(-1.0,) * 3, high=(3.0,) * 3)
    action = replace(contract.embodiment.action, groups=(arm, contract.embodiment.action.groups[1]))
    uneven = replace(contract, embodiment=replace(contract.embodiment, action=action))
    actions = np.arange(32, dtype=np.float32).reshape(1, 8, 4) / 32
    late = ActionLag(3).apply(actions, {}, uneven)
    np.testing.assert_array_equal(late[:, 3:], actions[:, :5])
    # Zero metres is -0.5 between -1 and 3; the gripper keeps its first command.
    np.testing.assert_array_equal(late[0, :3, :3], np.full((3, 3), -0.5))
    np.testing.assert_array_equal(late[0, :3, 3], [actions[0, 0, 3]] * 3)


@pytest.mark.parametrize(
    ("degradation", "match"),
    [
        (ActionNoise(0.5, ("dx", "yaw")), "no action dimension 'yaw'.*dx, dy, dz, effort"),
        (ActionNoise(0.0), "changes nothing"),
        (ActionNoise(float("nan")), "changes nothing"),
        (ActionNoise(0.5, ()), "changes nothing"),
        (ActionLag(0), "between 1 and 7"),
        (ActionLag(8), "between 1 and 7"),
    ],
)
def test_a_degradation_that_makes_no_sense_is_refused(
    original: Bundle, tmp_path: Path, degradation: Degradation, match: str
):
    with pytest.raises(UsageError, match=match):
        degrade(original.folder, tmp_path / "drill", degradation)
    assert not (tmp_path / "drill").exists()
