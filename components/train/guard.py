"""Runs a command so that nothing of it outlives whoever asked: `python guard.py PARENT_PID COMMAND ...`.

The command gets a process group of its own. A signal to the guard, the end of its parent however it comes, and the
end of the command itself reach the whole group: SIGTERM first, SIGKILL after a while. Run by path, it imports nothing
of gripline. Exits as the command does, 128 + number where a signal ended it, 127 where it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    parent, command = int(arguments[0]), arguments[1:]
    prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)  # Linux alone has it
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if child is not None:
            _signal(child.pid, number)
            # A second alarm is not needed: what ignores SIGTERM is killed by the first.
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def kill(_: int, __: FrameType | None) -> None:
        if child is not None:
            _signal(child.pid, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    signal.signal(signal.SIGALRM, kill)
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent or asked:
        return 128 + signal.SIGTERM

    def die_with_guard() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        child = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_guard)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    if asked:
        pass_on(asked[0], None)
    code = child.wait()
    # What the command left running in its group would hold the output open.
    _signal(child.pid, signal.SIGKILL)
    return 128 - code if code < 0 else code


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
