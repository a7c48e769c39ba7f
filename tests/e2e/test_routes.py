"""Two slots with two policies behind the gateway: who gets an episode, and who keeps it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from components.bundle.bundle import load_bundle
from components.core.errors import ServerError, UsageError
from components.core.params import Params
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.client.wire import VERSION_HEADER
from deploy.gateway.gateway import GatewayFiles
from deploy.gateway.routes import Routes, SlotAddress
from deploy.serving import Serving
from deploy.triton.environment import find_environment

pytestmark = [pytest.mark.serving, pytest.mark.e2e]

INSTRUCTION = "open the drawer"


@pytest.fixture(scope="module", autouse=True)
def slots(serving: Serving, tiny_bundle: Path, other_bundle: Path) -> None:
    serving.ensure_gateway()
    serving.load("a", "1", tiny_bundle)
    serving.load("b", "2", other_bundle)
    for slot in "ab":
        assert serving.warm_up(slot).max_abs_error <= 1e-5
    serving.set_routes(Routes("a"))


@pytest.fixture
def client(serving: Serving, params: Params) -> Iterator[PolicyClient]:
    with PolicyClient(serving.url, params.serving.request_timeout_s) as found:
        yield found


@pytest.fixture
def observation(tiny_bundle: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    example = load_bundle(tiny_bundle).warmup
    return {"fixed": example.images[0, 0], "wrist": example.images[0, 1]}, example.state[0]


def _episode(client: PolicyClient, observation: tuple[dict[str, np.ndarray], np.ndarray], steps: int = 1) -> list[str]:
    client.begin_episode(INSTRUCTION)
    versions = [client.act(*observation).version for _ in range(steps)]
    client.end_episode("success")
    return versions


def test_the_server_answers_what_the_bundle_answers(
    client: PolicyClient, observation: tuple[dict[str, np.ndarray], np.ndarray], tiny_bundle: Path
) -> None:
    bundle = load_bundle(tiny_bundle)
    images, state = observation
    expected = bundle.act({camera: image[None] for camera, image in images.items()}, state[None], [INSTRUCTION])
    episode = client.begin_episode(INSTRUCTION)
    first, second = client.act(images, state), client.act(images, state)
    client.end_episode("success")
    np.testing.assert_allclose(first.actions, expected[0], atol=1e-6)
    assert (first.version, first.bundle_digest, first.episode) == ("1", bundle.digest, episode)
    assert (first.step, second.step) == (0, 1)
    assert 0 < first.latency_ms < 5000


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_new_episodes_are_shared_out_by_weight(
    serving: Serving, client: PolicyClient, observation: Any, share: float, low: int, high: int
) -> None:
    # 60 to 140 of 200 is more than five standard deviations to each side.
    serving.set_routes(Routes("a", "b", share))
    found = Counter(version for _ in range(200) for version in _episode(client, observation))
    assert low <= found["2"] <= high
    assert found["1"] + found["2"] == 200
    assert client.failures == 0


def test_no_episode_changes_its_policy_while_routes_change_under_load(
    serving: Serving, make_fleet: Callable[..., Any]
) -> None:
    changes = [Routes("a", "b", 0.5), Routes("b", "a", 0.5), Routes("a", "b", 0.0), Routes("b"), Routes("a", "b", 1.0)]
    only: list[tuple[float, float, str]] = []  # from when until when every new episode had to get this version
    with make_fleet() as fleet:
        for number in range(30):
            routes = changes[number % len(changes)]
            serving.set_routes(routes)
            began = time.monotonic()
            time.sleep(0.1)
            if routes.candidate_share in (0.0, 1.0):
                slot = routes.incumbent if routes.candidate_share == 0.0 else routes.candidate
                only.append((began, time.monotonic(), {"a": "1", "b": "2"}[str(slot)]))
    assert fleet.errors == []
    assert fleet.switches == 0
    assert len(fleet.answered) > 500
    assert {one.version for one in fleet.answered} == {"1", "2"}
    starts = [one for one in fleet.answered if one.step == 0]
    judged = [(one.version, version) for one in starts for low, high, version in only if low <= one.sent < high]
    assert len(judged) > 30
    assert all(found == expected for found, expected in judged)


def test_a_drained_episode_stays_and_a_killed_one_goes_to_the_incumbent(
    serving: Serving, client: PolicyClient, observation: Any
) -> None:
    serving.set_routes(Routes("a", "b", 1.0))
    client.begin_episode(INSTRUCTION)
    found = [client.act(*observation).version]
    for routes in (Routes("a", "b", 0.0), Routes("a"), Routes("a", pinned=False)):
        serving.set_routes(routes)
        found.append(client.act(*observation).version)
    record = client.end_episode("success")
    assert found == ["2", "2", "2", "1"]
    assert record.versions == ("2", "1")
    assert client.failures == 0


def test_mirrored_requests_are_counted_at_the_shadow_and_answered_by_the_incumbent(
    serving: Serving, client: PolicyClient, observation: Any
) -> None:
    serving.set_routes(Routes("a", "b", mirror=True))
    before = {slot: serving.slot_stats(slot).success for slot in "ab"}
    versions = {version for _ in range(10) for version in _episode(client, observation, steps=4)}
    assert versions == {"1"}
    deadline = time.monotonic() + 5
    while serving.slot_stats("b").success < before["b"] + 40 and time.monotonic() < deadline:
        time.sleep(0.02)
    after = {slot: serving.slot_stats(slot).success for slot in "ab"}
    assert {slot: after[slot] - before[slot] for slot in "ab"} == {"a": 40, "b": 40}
    serving.set_routes(Routes("a"))
    _episode(client, observation)
    assert serving.slot_stats("b").success == after["b"]


def test_a_bad_request_fails_alone(
    serving: Serving, client: PolicyClient, observation: Any, make_fleet: Callable[..., Any]
) -> None:
    serving.set_routes(Routes("a"))
    images, _ = observation
    before = serving.slot_stats("a").failure
    client.begin_episode(INSTRUCTION)
    with make_fleet() as fleet:
        for _ in range(20):
            with pytest.raises(PolicyUnavailable, match="state is not finite") as caught:
                client.act(images, np.full(4, np.nan, np.float32))
    client.end_episode("aborted")
    assert caught.value.status == "StatusCode.INVALID_ARGUMENT"
    assert (client.attempts, client.failures) == (20, 20)
    assert fleet.errors == []
    assert len(fleet.answered) > 20
    assert serving.slot_stats("a").failure == before + 20


def test_another_camera_order_is_refused(serving: Serving, params: Params, observation: Any) -> None:
    serving.set_routes(Routes("a"))
    with PolicyClient(serving.url, params.serving.request_timeout_s, cameras=("wrist", "fixed")) as client:
        client.begin_episode(INSTRUCTION)
        with pytest.raises(PolicyUnavailable, match="cameras are wrist,fixed, the policy takes fixed,wrist"):
            client.act(*observation)


def _post(url: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **headers})
    return urllib.request.urlopen(request, timeout=5)


def test_http_speaks_to_the_same_slots(serving: Serving, observation: Any) -> None:
    serving.set_routes(Routes("a"))
    images, state = observation
    pixels = np.stack([images["fixed"], images["wrist"]])
    inputs = [
        {"name": "images", "datatype": "UINT8", "shape": [1, *pixels.shape], "data": pixels.reshape(-1).tolist()},
        {"name": "state", "datatype": "FP32", "shape": [1, 4], "data": state.tolist()},
        {"name": "instruction", "datatype": "BYTES", "shape": [1, 1], "data": [INSTRUCTION]},
    ]
    for sent, expected in (({}, "1"), ({VERSION_HEADER: "2"}, "2"), ({VERSION_HEADER: "stale"}, "1")):
        with _post(f"http://{serving.url}/v2/models/policy/infer", {"inputs": inputs}, sent) as reply:
            outputs = {output["name"]: output["data"] for output in json.load(reply)["outputs"]}
            assert reply.headers[VERSION_HEADER] == expected
        assert outputs["policy_version"] == [expected]
        assert len(outputs["actions"]) == 8 * 4


def test_nothing_but_inference_passes_the_gateway(serving: Serving) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _post(f"http://{serving.url}/v2/repository/models/policy/unload", {}, {})
    with triton.InferenceServerClient(serving.url) as channel:
        assert channel.is_model_ready("policy")
        with pytest.raises(InferenceServerException, match="not served here"):
            channel.unload_model("policy")
    slot = triton.InferenceServerClient(serving.status()["slots"]["a"]["url"])
    with slot, pytest.raises(InferenceServerException, match="not allowed"):
        slot.unload_model("policy")


def test_routes_that_envoy_refuses_leave_the_old_ones_in_force(
    serving: Serving, observation: Any, client: PolicyClient
) -> None:
    serving.set_routes(Routes("b"))
    state = serving._state.read()
    assert state.gateway is not None
    broken = {slot: SlotAddress(a.version + "\n", a.grpc_port, a.http_port) for slot, a in state.addresses.items()}
    files = GatewayFiles(serving.workspace.serving.resolve() / "gateway", 5.0)
    with pytest.raises(ServerError, match=r"refuses the routes: .*value does not match regex"):
        files.apply(state.gateway, state.routes, broken)
    assert _episode(client, observation) == ["2"]
    with pytest.raises(ServerError, match="Envoy refuses the configuration"):
        files.validate(find_environment(), state.routes, broken)
    serving.set_routes(Routes("a"))
    assert _episode(client, observation) == ["1"]


def test_a_slot_in_use_is_neither_replaced_nor_unloaded(
    serving: Serving, tiny_bundle: Path, other_bundle: Path
) -> None:
    serving.set_routes(Routes("a", "b", 0.5))
    with pytest.raises(UsageError, match="slot 'b' is in use with version 2"):
        serving.load("b", "3", tiny_bundle)
    for slot in "ab":
        with pytest.raises(UsageError, match=f"slot '{slot}' is in use"):
            serving.unload(slot)
    serving.set_routes(Routes("a"))
    with pytest.raises(UsageError, match="version 1 is in slot 'a' already"):
        serving.load("b", "1", other_bundle)
    with pytest.raises(UsageError, match="is not a version"):
        serving.load("b", "x y", other_bundle)
    with pytest.raises(UsageError, match="no slot 'c'"):
        serving.load("c", "9", other_bundle)
