"""Servers that die, controllers that die, bundles that are no good: what serves goes on serving."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.bundle.write import GRAPH_NAME, seal
from components.core.errors import BundleError, Busy, ServerError, UsageError
from components.core.files import sha256_bytes
from components.core.params import Params
from components.core.workspace import Workspace
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.gateway.routes import Routes
from deploy.process import find_running, port_in_use
from deploy.serving import Serving
from deploy.triton.environment import find_environment
from deploy.triton.repository import read_policy, write_repository
from deploy.triton.server import start_server

pytestmark = [pytest.mark.serving, pytest.mark.e2e]

IMAGES = {camera: np.zeros((96, 96, 3), np.uint8) for camera in ("fixed", "wrist")}
STATE = np.array([0.0, 0.6, 0.2, 0.5], np.float32)
FINDS_AND_PROMOTES = """
import sys
from pathlib import Path
from components.core.files import sha256_bytes
from components.core.params import load_params
from components.core.workspace import Workspace
from deploy.gateway.routes import Routes
from deploy.serving import Serving
root = Path(sys.argv[1])
serving = Serving.attach(Workspace(root), load_params(root / "params.yaml"))
serving.ensure_gateway()
serving.load("a", "1", Path(sys.argv[2]))
serving.set_routes(Routes("b", "a"))
"""


@pytest.fixture(scope="module", autouse=True)
def slot_a(serving: Serving, tiny_bundle: Path) -> None:
    serving.ensure_gateway()
    serving.load("a", "1", tiny_bundle)
    serving.set_routes(Routes("a"))


@pytest.fixture
def client(serving: Serving, params: Params) -> Iterator[PolicyClient]:
    with PolicyClient(serving.url, params.serving.request_timeout_s) as found:
        yield found


def _ask(client: PolicyClient) -> str:
    client.begin_episode("open the drawer")
    try:
        return client.act(IMAGES, STATE).version
    finally:
        client.end_episode("unknown")


def _processes(workspace: Workspace) -> list[int]:
    """Whatever was started with a path of this workspace on its command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(workspace.serving.resolve()).encode() in command:
                found.append(int(entry.name))
    return found


def _shared_memory(workspace: Workspace) -> list[Path]:
    prefixes = [
        f"gripline_{sha256_bytes(str(workspace.serving.resolve() / f'slot_{slot}' / 'repository').encode())[:16]}_"
        for slot in "ab"
    ]
    return [path for path in Path("/dev/shm").iterdir() if path.name.startswith(tuple(prefixes))]


def test_everything_again_changes_nothing(serving: Serving, tiny_bundle: Path) -> None:
    before = serving.status()
    serving.ensure_gateway()
    serving.load("a", "1", tiny_bundle)
    serving.set_routes(Routes("a"))
    serving.unload("b")
    after = serving.status()
    for status in (before, after):
        for found in (status["gateway"], *status["slots"].values()):
            found.pop("rss_bytes")
    assert after == before
    assert after["slots"]["a"]["ready"]
    assert after["gateway"]["ready"]


def test_a_killed_gateway_comes_back_at_its_port_with_its_routes(
    serving: Serving, client: PolicyClient, other_bundle: Path
) -> None:
    serving.load("b", "2", other_bundle)
    serving.set_routes(Routes("a", "b", 1.0))
    url, pid = serving.url, serving.status()["gateway"]["pid"]
    assert _ask(client) == "2"
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PolicyUnavailable, match=url):
        _ask(client)
    serving.ensure_gateway()
    assert serving.url == url
    assert serving.status()["gateway"]["pid"] != pid
    assert serving.routes() == Routes("a", "b", 1.0)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert _ask(client) == "2"
            break
        except PolicyUnavailable:
            time.sleep(0.05)
    assert {_ask(client) for _ in range(10)} == {"2"}


def test_new_routes_bring_a_killed_gateway_back(serving: Serving, params: Params) -> None:
    os.kill(serving.status()["gateway"]["pid"], signal.SIGKILL)
    serving.set_routes(Routes("a"))
    with PolicyClient(serving.url, params.serving.request_timeout_s) as client:
        assert _ask(client) == "1"


def test_a_taken_port_is_named_and_nothing_is_lost(serving: Serving, params: Params) -> None:
    port = int(serving.url.rpartition(":")[2])
    os.kill(serving.status()["gateway"]["pid"], signal.SIGKILL)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + 5
        while True:
            try:
                taken.bind(("127.0.0.1", port))
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        taken.listen()
        with pytest.raises(Busy, match=f"port {port} is in use") as caught:
            serving.ensure_gateway()
    assert caught.value.exit_code == 4
    serving.ensure_gateway()
    with PolicyClient(serving.url, params.serving.request_timeout_s) as client:
        assert _ask(client) == "1"


def test_a_killed_slot_is_started_again_and_found_at_its_new_port(
    serving: Serving, params: Params, other_bundle: Path, workspace: Workspace
) -> None:
    serving.load("b", "2", other_bundle)
    serving.set_routes(Routes("a", "b", 1.0))
    pid = serving.status()["slots"]["b"]["pid"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while serving.status()["slots"]["b"]["alive"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not serving.status()["slots"]["b"]["alive"]
    with PolicyClient(serving.url, params.serving.request_timeout_s) as client:
        with pytest.raises(PolicyUnavailable, match=r"127\.0\.0\.1"):
            _ask(client)
        assert client.attempts == 1
        serving.load("b", "2", other_bundle)
        assert serving.status()["slots"]["b"]["pid"] != pid
        assert {_ask(client) for _ in range(5)} == {"2"}
    # Gateway, and per slot tritonserver with one model process: nothing of the killed one is left.
    assert len(_processes(workspace)) == 5
    assert len(_shared_memory(workspace)) == 2


def test_the_next_controller_adopts_what_runs(
    serving: Serving, workspace: Workspace, tiny_bundle: Path, other_bundle: Path, project: Path
) -> None:
    serving.load("b", "2", other_bundle)
    before = serving.status()
    argv = [sys.executable, "-c", FINDS_AND_PROMOTES, str(workspace.root), str(tiny_bundle)]
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    after = serving.status()
    assert serving.routes() == Routes("b", "a")
    assert after["gateway"]["pid"] == before["gateway"]["pid"]
    assert {slot: found["pid"] for slot, found in after["slots"].items()} == {
        slot: found["pid"] for slot, found in before["slots"].items()
    }
    serving.set_routes(Routes("a"))


def test_a_server_that_nobody_noted_down_is_swept_away(
    serving: Serving, workspace: Workspace, tmp_path: Path, other_bundle: Path
) -> None:
    """As a controller leaves it that is killed between the start of a server and the note about it."""
    serving.unload("b")
    folder = workspace.serving.resolve() / "slot_b"
    write_repository(folder / "repository", read_policy("9", other_bundle))
    stray = start_server(find_environment(), folder, tmp_path / "backends", 60.0)
    assert find_running(f"--model-repository={folder / 'repository'}") == [stray.process]
    serving.load("b", "2", other_bundle)
    assert not stray.process.alive
    assert serving.status()["slots"]["b"]["pid"] != stray.process.pid


def _tampered(folder: Path) -> None:
    with (folder / GRAPH_NAME).open("ab") as stream:
        stream.write(b"x")


def _sealed_nonsense(folder: Path) -> None:
    (folder / GRAPH_NAME).write_bytes(b"not a graph at all")
    seal(folder)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_tampered, BundleError, r"policy\.onnx is not what was sealed"),
        (_sealed_nonsense, ServerError, r"did not load: .*not an ONNX file"),
    ],
)
def test_a_broken_bundle_is_refused_while_the_incumbent_serves(
    serving: Serving,
    tmp_path: Path,
    other_bundle: Path,
    make_fleet: Callable[..., Any],
    spoil: Callable[[Path], None],
    error: type[Exception],
    message: str,
) -> None:
    serving.set_routes(Routes("a"))
    serving.unload("b")
    broken = Path(shutil.copytree(other_bundle, tmp_path / "broken"))
    spoil(broken)
    with make_fleet(robots=3) as fleet:
        with pytest.raises(error, match=message):
            serving.load("b", "3", broken)
        time.sleep(0.2)
    assert fleet.errors == []
    assert {one.version for one in fleet.answered} == {"1"}
    assert list(serving.status()["slots"]) == ["a"]
    assert find_running(f"--model-repository={serving.workspace.serving.resolve() / 'slot_b' / 'repository'}") == []


def test_a_load_disturbs_nobody(serving: Serving, other_bundle: Path, make_fleet: Callable[..., Any]) -> None:
    serving.unload("b")
    with make_fleet(robots=3) as fleet:
        serving.load("b", "2", other_bundle)
        serving.set_routes(Routes("b", "a"))
        assert serving.drain("a", 20.0, open_episodes=lambda: 0)
        serving.set_routes(Routes("a"))
        time.sleep(0.2)
    assert fleet.errors == []
    assert fleet.switches == 0
    assert {one.version for one in fleet.answered} == {"1", "2"}


def test_answers_that_differ_from_the_bundles_own_are_caught(
    serving: Serving, make_bundle: Callable[..., Path]
) -> None:
    serving.unload("b")
    serving.load("b", "3", make_bundle("wrong", warmup_off_by=1e-3))
    with pytest.raises(ServerError, match=r"differ from the bundle's own by 0\.001"):
        serving.warm_up("b")
    serving.unload("b")
    with pytest.raises(UsageError, match="serves nothing"):
        serving.warm_up("b")


def _freeze_model(serving: Serving, slot: str, number: signal.Signals) -> None:
    """Stops or continues the process that runs the model, so that requests stay under way."""
    leader = serving.status()["slots"][slot]["pid"]
    for pid in Path("/proc").iterdir():
        if pid.name.isdigit() and int(pid.name) != leader:
            try:
                if os.getsid(int(pid.name)) == leader:
                    os.kill(int(pid.name), number)
            except ProcessLookupError:
                continue


def test_draining_waits_for_requests_and_for_episodes(serving: Serving, client: PolicyClient) -> None:
    serving.set_routes(Routes("a"))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(_ask(client)))
    _freeze_model(serving, "a", signal.SIGSTOP)
    try:
        asking.start()
        time.sleep(0.3)
        assert not serving.drain("a", 0.2)
    finally:
        _freeze_model(serving, "a", signal.SIGCONT)
    assert serving.drain("a", 5.0)
    asking.join()
    assert answers == ["1"]
    episodes = iter([2, 1])
    assert serving.drain("a", 5.0, open_episodes=lambda: next(episodes, 0))
    assert not serving.drain("a", 0.1, open_episodes=lambda: 1)


def test_a_slot_that_hangs_costs_one_attempt_of_limited_length(serving: Serving, client: PolicyClient) -> None:
    serving.set_routes(Routes("a"))
    before = serving.slot_stats("a")
    _freeze_model(serving, "a", signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(PolicyUnavailable, match=r"127\.0\.0\.1"), PolicyClient(serving.url, 0.5) as hasty:
            _ask(hasty)
        assert 0.4 < time.monotonic() - began < 2.0
        assert hasty.attempts == 1
    finally:
        _freeze_model(serving, "a", signal.SIGCONT)
    assert serving.drain("a", 5.0)
    assert _ask(client) == "1"
    assert serving.slot_stats("a").success <= before.success + 2


def test_stop_leaves_nothing_behind_and_start_begins_anew(
    serving: Serving, workspace: Workspace, tiny_bundle: Path
) -> None:
    status = serving.status()
    urls = [status["gateway"]["url"], *(slot["url"] for slot in status["slots"].values())]
    serving.stop()
    assert _processes(workspace) == []
    assert _shared_memory(workspace) == []
    assert not any(port_in_use(int(url.rpartition(":")[2])) for url in urls)
    assert serving.status() == {"gateway": None, "slots": {}, "routes": None}
    with pytest.raises(ServerError, match="no gateway was started"):
        _ = serving.url
    with pytest.raises(UsageError, match="slot 'a' serves nothing"):
        serving.set_routes(Routes("a"))
    serving.stop()
    assert _processes(workspace) == []
