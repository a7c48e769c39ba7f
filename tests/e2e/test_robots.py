"""The simulated fleet at work: real cells, a real gateway, and processes that end when they should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
import yaml

from components.core.files import read_lines
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from deploy.gateway.routes import Routes
from deploy.process import find_running
from deploy.rollout.contracts import FleetJob
from deploy.rollout.evidence import Evidence
from deploy.rollout.robots import fleet_factory
from deploy.serving import Serving

pytestmark = [pytest.mark.serving, pytest.mark.sim, pytest.mark.e2e]

OWNER = """
import sys
from pathlib import Path
from components.core.params import load_params
from components.core.workspace import Workspace
from deploy.rollout.contracts import FleetJob
from deploy.rollout.robots import fleet_factory
workspace = Workspace(Path(sys.argv[1]))
params = load_params(workspace.root / "params.yaml")
with fleet_factory(workspace, params)(FleetJob(sys.argv[2], sys.argv[3], "canary", 0)) as fleet:
    for outcome in fleet.episodes():
        if outcome:
            sys.stdout.write("episode\\n")
            sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def workspace(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One task and short episodes; an untrained policy does not succeed in them."""
    root = tmp_path_factory.mktemp("robots")
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["raw"]["tasks"] = ["drawer-open"]
    params["evaluate"]["horizon"] = 8
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return Workspace(root)


@pytest.fixture(scope="module")
def params(workspace: Workspace) -> Params:
    return load_params(workspace.root / "params.yaml")


@pytest.fixture(scope="module")
def url(serving: Serving, tiny_bundle: Path) -> str:
    serving.ensure_gateway()
    serving.load("a", "1", tiny_bundle)
    serving.set_routes(Routes("a"))
    return serving.url


def robots_of(workspace: Workspace, rollout_id: str) -> list[int]:
    """Living robot processes of a rollout, by the workspace and rollout in their job."""
    found = []
    for process in find_running("deploy.rollout.robot"):
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
        if str(workspace.root) in command and f'"{rollout_id}"' in command:
            found.append(process.pid)
    return found


def test_real_episodes_are_on_record_and_the_robots_stop_when_told(
    workspace: Workspace, params: Params, url: str, serving: Serving
) -> None:
    with fleet_factory(workspace, params)(FleetJob(url, "told", "shadow", 0)) as fleet:
        outcomes = [outcome for outcome in islice(fleet.episodes(), 60) if outcome][:1]
        fleet.begin_phase("canary")
        for outcome in fleet.episodes():
            outcomes += [outcome] if outcome else []
            if len(outcomes) >= 6:
                break
    assert robots_of(workspace, "told") == []
    episodes = Evidence(workspace, "told").episodes()
    assert not any(item.open for item in episodes)
    assert {item.version for item in episodes} == {"1"}
    assert {item.phase for item in episodes} == {"shadow", "canary"}
    assert all(item.failures == 0 and item.attempts == 2 and item.steps == 8 for item in episodes)
    assert [item.seed for item in sorted(episodes, key=lambda item: item.number)] == [
        params.rollout.seed + number for number in sorted(item.number for item in episodes)
    ]
    actions = read_lines(workspace.state / "actions" / "told.jsonl")
    assert len(actions) == sum(item.attempts for item in episodes) <= serving.slot_stats("a").success


def test_robots_die_with_their_controller_and_the_servers_do_not(
    workspace: Workspace, url: str, serving: Serving
) -> None:
    arguments = [sys.executable, "-c", OWNER, str(workspace.root), url, "orphaned"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "episode\n"
        assert robots_of(workspace, "orphaned")
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while robots_of(workspace, "orphaned"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert serving.status()["slots"]["a"]["ready"]
    evidence = Evidence(workspace, "orphaned")
    left = sum(item.open for item in evidence.episodes())
    assert evidence.lose_open("its controller was gone") == left
    assert all(item.success is not True for item in evidence.episodes())
