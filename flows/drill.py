"""The rollback drill: does this installation find a bad policy out, and take it back?"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from components.core.errors import StageFailed, UsageError
from deploy.rollout.log import load_state
from deploy.rollout.plan import Decision
from flows.release import Plant, release_version


def run_drill(plant: Plant, sigma: float) -> dict[str, Any]:
    """Degrades a copy of the champion, rolls it out as a drill, and says what became of it.

    The copy passes parity, action limits and warm-up; only its success in closed loop suffers. It is registered as a
    drill, which no rollout can promote.
    """
    champion = plant.registry.alias("champion")
    if champion is None:
        raise UsageError("there is no champion to make a degraded copy of", hint="Run `gripline run` first")
    target = plant.workspace.state / "drill"
    # In a process of its own: making the copy needs onnx, which a controller has no use for.
    command = [sys.executable, "-m", "components.export.degrade", str(champion.path), str(target), str(sigma)]
    if subprocess.run(command, check=False, cwd=plant.workspace.root).returncode:
        raise StageFailed("the degraded copy could not be made", hint="The reason stands above")
    version = plant.registry.register(target, drill=True)
    entry = release_version(plant, version.version, drill=True)
    found_out = load_state(plant.workspace, entry["rollout"]).plan.decision is Decision.FAIL
    return {**entry, "outcome": entry["outcome"] if found_out else "missed", "wanted": "rolled_back"}
