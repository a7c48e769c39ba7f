"""The lease: never two owners, and a dead one is no obstacle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.errors import Busy
from components.core.files import write_json
from deploy.rollout.lease import Lease, is_held, read_owner

HOLD = """
import sys, time
from pathlib import Path
from deploy.rollout.lease import Lease
with Lease(Path(sys.argv[1]), 30.0):
    sys.stdout.write("held")
    sys.stdout.flush()
    time.sleep(60)
"""


def hold_in_another_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.read(4) == "held"
    return process


def test_a_living_owner_keeps_everybody_else_out(tmp_path: Path) -> None:
    process = hold_in_another_process(tmp_path)
    try:
        assert is_held(tmp_path)
        with pytest.raises(Busy, match=f"process {process.pid} on .* drives a rollout"):
            Lease(tmp_path, 30.0).acquire()
    finally:
        process.kill()
        process.communicate()


def test_a_dead_owner_is_succeeded_and_the_epoch_grows(tmp_path: Path) -> None:
    process = hold_in_another_process(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not is_held(tmp_path)
    with Lease(tmp_path, 30.0) as lease:
        assert lease.epoch == 2
        owner = read_owner(tmp_path)
        assert owner is not None
        assert owner.pid == os.getpid()


def test_a_silent_owner_is_named_and_not_robbed(tmp_path: Path) -> None:
    process = hold_in_another_process(tmp_path)
    try:
        owner = read_owner(tmp_path)
        assert owner is not None
        write_json(tmp_path / "lease.json", {**owner.__dict__, "beat_at": time.time() - 99})
        with pytest.raises(Busy, match=f"silent for 99 s; if it hangs, end process {process.pid}"):
            Lease(tmp_path, 30.0).acquire()
    finally:
        process.kill()
        process.communicate()


def test_two_leases_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with Lease(tmp_path, 30.0) as first:
        with pytest.raises(Busy, match="drives a rollout"):
            Lease(tmp_path, 30.0).acquire()
        assert first.held
    assert not is_held(tmp_path)
    owner = read_owner(tmp_path)
    assert owner is not None
    assert owner.pid == 0


def test_an_owner_that_was_succeeded_may_not_go_on(tmp_path: Path) -> None:
    with Lease(tmp_path, 30.0) as lease:
        owner = read_owner(tmp_path)
        assert owner is not None
        write_json(tmp_path / "lease.json", {**owner.__dict__, "epoch": lease.epoch + 1, "pid": 1})
        with pytest.raises(Busy, match="process 1 on"):
            lease.beat()


def test_beating_without_the_lease_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Busy, match="not held"):
        Lease(tmp_path, 30.0).beat()
