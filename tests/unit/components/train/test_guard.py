"""The guard as it is run: by path, around a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.train import guard

GUARD = Path(guard.__file__)


def guarded(*command: str, script: Path = GUARD) -> subprocess.Popen[str]:
    line = [sys.executable, "-I", str(script), str(os.getpid()), *command]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -SEGV $$"), 128 + signal.SIGSEGV),
        (("/no/such/program",), 127),
    ],
)
def test_it_ends_as_the_command_does(command, code):
    with guarded(*command) as running:
        assert running.wait(timeout=60) == code
        assert running.stdout is not None
        said = running.stdout.read()
    assert said == ("/no/such/program: No such file or directory\n" if code == 127 else "")


def test_what_a_command_leaves_running_does_not_hold_the_output_open():
    with guarded("sh", "-c", "sleep 600 & echo $!") as running:
        output, _ = running.communicate(timeout=60)
    assert not _runs(int(output))


def test_a_signal_reaches_all_that_the_command_started():
    with guarded("sh", "-c", "sleep 600 & echo $!; wait") as running:
        assert running.stdout is not None
        inner = int(running.stdout.readline())
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 128 + signal.SIGTERM
    assert not _runs(inner)


def test_a_command_may_end_in_its_own_way():
    program = "trap 'echo saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with guarded("sh", "-c", program) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=60)
    # A shell may also say that what it waited for was ended.
    assert (output.splitlines()[-1], running.returncode) == ("saved", 3)


def test_a_command_that_does_not_listen_is_killed(tmp_path):
    hasty = tmp_path / "guard.py"
    hasty.write_text(GUARD.read_text().replace("GRACE_S = 10.0", "GRACE_S = 0.2"))
    program = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    with guarded("sh", "-c", program, script=hasty) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 128 + signal.SIGKILL


def test_it_starts_nothing_for_a_parent_that_is_gone(tmp_path):
    marker = tmp_path / "ran"
    line = [sys.executable, "-I", str(GUARD), "1", "touch", str(marker)]
    assert subprocess.run(line, check=False, timeout=60).returncode == 128 + signal.SIGTERM
    assert not marker.exists()


def _runs(pid: int, seconds: float = 10.0) -> bool:
    """After a while: a killed process takes a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.02)
    return True
