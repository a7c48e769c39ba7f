from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from operator import call
from pathlib import Path

import pytest

from components.core.children import ChildProcess, Death, attempt

CHILD = """
import os, sys, time
from components.core.children import die_with_parent
die_with_parent(int(sys.argv[1]))
print("alive", flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(60)
"""


def test_a_child_ends_with_a_parent_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, word = parent.stdout.readline().split()
        assert word == "alive"
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while _runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_whose_parent_is_gone_already_does_not_begin() -> None:
    stranger = str(os.getpid() + 1)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, stranger], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "alive" not in done.stdout


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (-signal.SIGSEGV, "crashed"),
        (-signal.SIGABRT, "crashed"),
        (-signal.SIGXCPU, "did not come to an end"),
        (-signal.SIGKILL, ""),
        (-signal.SIGTERM, ""),
        (0, ""),
        (3, ""),
    ],
)
def test_only_crashes_and_the_cpu_limit_are_the_fault_of_the_item(exit_code: int, reason: str) -> None:
    assert Death(exit_code).reason == reason


def test_an_error_is_a_value_that_says_where_it_arose() -> None:
    assert attempt(abs, -3) == (False, 3)
    failed, error = attempt(int, "x")
    assert (failed, type(error)) == (True, ValueError)
    assert "work(item)" in error.__notes__[0]


def test_a_process_is_replaced_after_its_death_and_gone_after_stop() -> None:
    child = ChildProcess()
    child.stop()
    child.give(call, os.getpid)
    first = child.take()
    child.give(call, partial(signal.raise_signal, signal.SIGSEGV))
    assert child.take() == Death(-signal.SIGSEGV)
    child.give(call, os.getpid)
    second = child.take()
    assert len({first, second, os.getpid()}) == 3
    child.give(call, partial(time.sleep, 600))
    child.stop()
    assert not _runs(second)
