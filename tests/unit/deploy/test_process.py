from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.process import ServerProcess, find_running, free_ports, port_in_use, spawn, tail

Spawn = Callable[..., ServerProcess]
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Spawn]:
    started: list[ServerProcess] = []

    def start(*argv: str) -> ServerProcess:
        started.append(spawn(argv, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log"))
        return started[-1]

    yield start
    for process in started:
        process.stop(1.0)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_lives_in_its_own_session_until_it_is_stopped(run: Spawn) -> None:
    process = run("/bin/sleep", "60")
    assert process.alive
    assert os.getsid(process.pid) == process.pid
    process.stop(5.0)
    assert not process.alive


def test_a_process_that_ends_by_itself_is_not_alive(run: Spawn) -> None:
    process = run("/bin/true")
    _wait(lambda: not process.alive)
    process.stop(1.0)


def test_one_that_ignores_sigterm_is_killed(run: Spawn, tmp_path: Path) -> None:
    process = run(sys.executable, "-c", _DEAF)
    _wait(lambda: "ready" in tail(tmp_path / "log"))
    began = time.monotonic()
    process.stop(0.3)
    assert not process.alive
    assert 0.3 <= time.monotonic() - began < 3.0


def test_what_the_leader_leaves_behind_is_stopped_too(run: Spawn, tmp_path: Path) -> None:
    leader = run("/bin/sh", "-c", "sleep 61 & echo $!; sleep 60")
    _wait(lambda: tail(tmp_path / "log").strip().isdigit())
    child = int(tail(tmp_path / "log"))
    os.kill(leader.pid, signal.SIGKILL)
    _wait(lambda: not leader.alive)
    assert os.getsid(child) == leader.pid
    leader.stop(1.0)
    assert not Path(f"/proc/{child}").exists() or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"


@pytest.mark.parametrize("stale", [{"started": 1}, {"boot": "another boot"}])
def test_a_reused_pid_is_left_alone(run: Spawn, stale: dict[str, object]) -> None:
    process = run("/bin/sleep", "60")
    note = replace(process, **stale)
    assert not note.alive
    assert note.rss_bytes == 0
    note.stop(0.1)
    assert process.alive


def test_memory_of_a_session_is_counted(run: Spawn) -> None:
    assert run("/bin/sleep", "60").rss_bytes > 100_000


def test_a_process_is_found_by_a_whole_argument(run: Spawn, tmp_path: Path) -> None:
    mark = f"--folder={tmp_path}"
    process = run(sys.executable, "-c", "import time; time.sleep(60)", mark)
    _wait(lambda: find_running(mark) == [process])
    assert find_running(mark[:-1]) == []


def test_output_goes_to_the_log(run: Spawn, tmp_path: Path) -> None:
    run("/bin/sh", "-c", "echo one; echo two >&2")
    _wait(lambda: tail(tmp_path / "log", 1) == "two")
    assert tail(tmp_path / "log") == "one\ntwo"
    assert tail(tmp_path / "absent") == "no log"


def test_ports_are_different_and_free_until_taken() -> None:
    ports = free_ports(5)
    lent_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20_000 <= port < max(32_000, lent_from) for port in ports)
    assert len(set(ports)) == 5
    assert not port_in_use(ports[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        assert port_in_use(ports[0])
