"""Whole rollouts against real servers: promoted, rolled back, and with a controller or a server killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from scripted import FileRegistry, Script, control, controller_arguments

from components.core.errors import Busy, UsageError
from components.core.files import read_lines
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.gateway.routes import Routes
from deploy.rollout.evidence import Episode, Evidence
from deploy.rollout.log import load_state, read_log
from deploy.rollout.plan import Decision, Phase
from deploy.rollout.report import write_report
from deploy.rollout.serve import bootstrap, ensure_serving
from deploy.serving import Serving

pytestmark = [pytest.mark.serving, pytest.mark.e2e]

VERSIONS = ("1", "2", "3", "4", "5")
QUICK = {
    "shadow_requests": 40, "min_episodes": 12, "max_episodes": 300, "margin": 0.4, "alpha_promote": 0.05,
    "alpha_abort": 0.02, "evidence_timeout_s": 20.0, "drain_s": 10.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("rollouts")
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["rollout"].update(QUICK)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return Workspace(root)


@pytest.fixture(scope="module")
def params(workspace: Workspace) -> Params:
    return load_params(workspace.root / "params.yaml")


@pytest.fixture(scope="module")
def script(make_bundle: Callable[..., Path]) -> Script:
    """Version 3 is a bad one, the others are alike."""
    bundles = {version: str(make_bundle(f"v{version}", bias=0.05 * int(version))) for version in VERSIONS}
    return Script({version: 0.0 if version == "3" else 0.95 for version in VERSIONS}, bundles, pace_s=0.005)


@pytest.fixture(scope="module")
def plant(workspace: Workspace, params: Params, script: Script, serving: Serving) -> Iterator[FileRegistry]:
    """Version 1 serves."""
    registry = FileRegistry(workspace, script)
    bootstrap(workspace, params, version="1", serving=serving, registry=registry)
    return registry


class Bystander:
    """A robot of no rollout that asks all the time; what it counts is what every robot on the floor would."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self.switched = 0
        self._client = PolicyClient(url, timeout_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _work(self) -> None:
        images = {camera: np.zeros((96, 96, 3), np.uint8) for camera in ("fixed", "wrist")}
        while not self._stop.is_set():
            self._client.begin_episode("press the button")
            for _ in range(8):
                try:
                    self.answered.append(self._client.act(images, np.zeros(4, np.float32)).version)
                except PolicyUnavailable as error:
                    self.failed.append(str(error))
                time.sleep(0.01)
            self.switched += len(self._client.end_episode("success").versions) > 1


def evidence(workspace: Workspace, rollout_id: str) -> list[Episode]:
    return Evidence(workspace, rollout_id).episodes()


def check_serving(serving: Serving, registry: FileRegistry, version: str) -> None:
    status = serving.status()
    assert [slot["version"] for slot in status["slots"].values()] == [version]
    (slot,) = status["slots"]
    assert serving.routes() == Routes(slot)
    assert registry.aliases() == {"champion": version}


def test_the_first_champion_is_bootstrapped_once(
    plant: FileRegistry, serving: Serving, workspace: Workspace, params: Params
) -> None:
    check_serving(serving, plant, "1")
    pid = serving.status()["slots"]["a"]["pid"]
    assert bootstrap(workspace, params, version="1", serving=serving, registry=plant) == "a"
    assert ensure_serving(workspace, params, serving=serving, registry=plant) == "a"
    assert serving.status()["slots"]["a"]["pid"] == pid
    with pytest.raises(UsageError, match="version 1 is champion"):
        bootstrap(workspace, params, version="2", serving=serving, registry=plant)
    assert [line["version"] for line in workspace.journal.read() if line["event"] == "bootstrap"] == ["1", "1"]


def test_a_good_version_is_promoted_and_nobody_notices(
    plant: FileRegistry, serving: Serving, workspace: Workspace, script: Script, params: Params
) -> None:
    with Bystander(serving.url, params.serving.request_timeout_s) as bystander:
        state = control(workspace, script, "run", "good", "2")
    assert state.plan.phase is Phase.DONE, state.plan.reason
    check_serving(serving, plant, "2")
    assert (bystander.failed, bystander.switched) == ([], 0)
    assert set(bystander.answered) == {"1", "2"}
    found = evidence(workspace, "good")
    assert sum(item.failures for item in found) == 0
    assert not any(item.mixed or item.open for item in found)
    assert {item.version for item in found if item.phase == "shadow"} == {"1"}
    actions = read_lines(workspace.state / "actions" / "good.jsonl")
    assert len(actions) == len({line["action_id"] for line in actions}) == sum(item.attempts for item in found)
    digests = {line["version"]: line["bundle_digest"] for line in actions}
    assert digests == {version: plant.get(version).digest for version in ("1", "2")}


def test_a_bad_version_is_rolled_back_and_gets_no_new_episode_after_the_verdict(
    plant: FileRegistry, serving: Serving, workspace: Workspace, script: Script, params: Params
) -> None:
    with Bystander(serving.url, params.serving.request_timeout_s) as bystander:
        state = control(workspace, script, "run", "bad", "3")
    assert (state.plan.phase, state.plan.decision) == (Phase.ROLLED_BACK, Decision.FAIL)
    check_serving(serving, plant, "2")
    assert bystander.failed == []
    log = read_log(workspace, "bad")
    taken_back = next(
        line["at"]
        for number, line in enumerate(log)
        if line.get("effect") == "routes" and line["kind"] == "done" and log[number - 2]["kind"] == "event"
        and log[number - 2]["decision"] == "fail"
    )  # fmt: skip
    late = [item for item in evidence(workspace, "bad") if item.started_at > taken_back]
    assert {item.version for item in late} <= {"2"}


def test_the_report_stands_alone(workspace: Workspace) -> None:
    page = write_report(workspace, "bad").read_text()
    assert "<svg" in page
    assert "rolled back" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert (workspace.rollouts / "bad" / "rollout.png").read_bytes().startswith(b"\x89PNG")


def start_and_wait(workspace: Workspace, script: Script, rollout_id: str, version: str, ended: int) -> subprocess.Popen:
    """A controller process that has seen `ended` canary episodes end."""
    process = subprocess.Popen(controller_arguments(workspace, script, "run", rollout_id, version))
    deadline = time.monotonic() + 60
    while sum(item.ended and item.phase == "canary" for item in evidence(workspace, rollout_id)) < ended:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_a_controller_killed_in_canary_is_followed_by_one_that_finishes(
    plant: FileRegistry, serving: Serving, workspace: Workspace, script: Script, params: Params
) -> None:
    slow = Script(script.rates, script.bundles, pace_s=0.05)
    with Bystander(serving.url, params.serving.request_timeout_s) as bystander:
        process = start_and_wait(workspace, slow, "killed", "4", ended=8)
        with pytest.raises(Busy, match=f"process {process.pid} on"):
            control(workspace, script, "resume", "killed", "4")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = evidence(workspace, "killed")
        assert load_state(workspace, "killed").plan.phase is Phase.CANARY
        assert any(item.open for item in before)
        with pytest.raises(Busy, match="owns the routes"):
            ensure_serving(workspace, params, serving=serving, registry=plant)
        state = control(workspace, script, "resume", "killed", "4")
    assert state.plan.phase is Phase.DONE, state.plan.reason
    check_serving(serving, plant, "4")
    assert (bystander.failed, bystander.switched) == ([], 0)
    after = {item.episode: item for item in evidence(workspace, "killed")}
    assert all(after[item.episode] == item for item in before if item.ended)
    assert all(after[item.episode].lost for item in before if item.open)
    assert len({line["epoch"] for line in read_log(workspace, "killed")}) == 2


def test_a_candidate_whose_server_is_killed_is_rolled_back_and_the_gateway_may_die_too(
    plant: FileRegistry, serving: Serving, workspace: Workspace, script: Script
) -> None:
    slow = Script(script.rates, script.bundles, pace_s=0.05)
    process = start_and_wait(workspace, slow, "crashed", "5", ended=4)
    status = serving.status()
    candidate = next(slot for slot in status["slots"].values() if slot["version"] == "5")
    os.kill(status["gateway"]["pid"], signal.SIGKILL)
    os.kill(candidate["pid"], signal.SIGKILL)
    assert process.wait(90) == 0
    state = load_state(workspace, "crashed")
    assert state.plan.phase is Phase.ROLLED_BACK, state.plan.reason
    assert serving.status()["gateway"]["ready"]
    check_serving(serving, plant, "4")
    last = max(evidence(workspace, "crashed"), key=lambda item: item.number)
    assert last.version in ("4", "5", "")
