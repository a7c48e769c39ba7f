"""Where the work is done: in processes of this machine, or on Ray. No result depends on it, so it is no parameter."""

from __future__ import annotations

import os

from components.core.errors import UsageError
from components.core.params import workers
from components.ingest.pool import Workers
from components.ingest.ray_pool import RayWorkers

EXECUTOR = "GRIPLINE_EXECUTOR"

Pool = Workers | RayWorkers


def executor(processes: int | None = None) -> Pool:
    """`processes`: as many as the machine has cores where absent; 0 works in this process, whatever is chosen."""
    count = workers() if processes is None else processes
    chosen = os.environ.get(EXECUTOR, "") or "processes"
    if chosen not in ("processes", "ray"):
        raise UsageError(f"{EXECUTOR} is {chosen!r}, expected processes or ray")
    return RayWorkers(count) if chosen == "ray" and count else Workers(count)
