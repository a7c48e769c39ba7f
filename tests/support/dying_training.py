"""The stage train, killed with SIGKILL at a chosen point: `python -m dying_training WHERE COUNT`.

WHERE: `step` (at the COUNT-th training step of all jobs), `state` (with the tensors of the COUNT-th state written and
nothing else), `best` (with a best checkpoint half-written), `collect` (while outputs are brought into place), `never`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from components.core.stage import stage_main
from components.train import checkpoint_io, saving, stage
from components.train.module import PolicyTraining


def _die_at(owner: Any, name: str, count: int) -> None:
    """Replaces a function by one that ends the stage and its worker at its `count`-th call."""
    called, parent, before = [0], os.getpid(), getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        called[0] += 1
        if called[0] == count:
            os.kill(parent, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*args, **kwargs)

    setattr(owner, name, dying)


POINTS: dict[str, Callable[[int], None]] = {
    "step": lambda count: _die_at(PolicyTraining, "training_step", count),
    "state": lambda count: _die_at(checkpoint_io, "fsync", count),
    "best": lambda count: _die_at(saving, "write_json", count),
    "collect": lambda count: _die_at(stage, "collect", count),
    "never": lambda count: None,
}

if __name__ == "__main__":
    POINTS[sys.argv[1]](int(sys.argv[2]))
    stage_main(stage.run)
