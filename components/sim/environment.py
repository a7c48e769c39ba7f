"""Meta-World's environment of a task, set up as the cell needs it."""

from __future__ import annotations

import sys
from typing import Any

from components.sim.gl import load_metaworld
from components.sim.tasks import Task


def make_environment(task: Task) -> Any:
    """Scripted experts see the goal, object positions follow the seed, and episodes have no end of their own."""
    environments, _ = load_metaworld()
    env = environments[task.env_name]()
    env._partially_observable = False
    # Cached with goal bounds of zero: step() would clip the goal to the origin.
    env.__dict__.pop("sawyer_observation_space", None)
    env._freeze_rand_vec = False
    env.seeded_rand_vec = True
    env._set_task_called = True
    # How long an episode may take is the caller's decision.
    env.max_path_length = sys.maxsize
    return env
