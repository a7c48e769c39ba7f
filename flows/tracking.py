"""Training and MLflow side by side: a tail beside the stage, which ends with it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from components.core.workspace import Workspace

log = logging.getLogger("gripline")

_END_S = 120.0


@contextmanager
def tracked(workspace: Workspace) -> Iterator[None]:
    """Trainings of the block appear in MLflow while they run. What goes wrong with that is a warning at most."""
    command = [sys.executable, "-m", "model_registry.tail", str(workspace.root)]
    try:
        # It ends when its stdin closes, also when this process is killed.
        tail = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError as error:
        log.warning("MLflow does not hear of the training: %s", error)
        yield
        return
    try:
        yield
    finally:
        try:
            tail.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            tail.kill()
            tail.wait()
            log.warning("MLflow may lack the end of the training; `gripline track` logs it")
