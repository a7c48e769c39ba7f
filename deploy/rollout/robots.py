"""The simulated fleet: processes that run real episodes against the gateway, as robots cell-1 to cell-N in turn."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO

from components.core.params import Params, workers
from components.core.workspace import Workspace
from deploy.process import tail
from deploy.rollout.contracts import FleetFactory, FleetJob, Outcome, RobotsGone
from deploy.rollout.robot import RobotJob

_TICK_S = 1.0
_REPO = Path(__file__).resolve().parents[2]


def fleet_factory(workspace: Workspace, params: Params) -> FleetFactory:
    """A factory of simulated fleets, for `run_rollout`."""
    return lambda job: SimulatedFleet(workspace, params, job)


class SimulatedFleet:
    """Processes of robots between entry and exit; they end with this process, however it ends."""

    def __init__(self, workspace: Workspace, params: Params, job: FleetJob) -> None:
        self._workspace = workspace
        self._params = params
        self._job = job
        self._processes: list[subprocess.Popen[bytes]] = []
        self._selector = selectors.DefaultSelector()
        self._partial: dict[int, bytes] = {}
        self._log = workspace.rollouts / job.rollout_id / "robots.log"

    def __enter__(self) -> SimulatedFleet:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        count = min(workers(), self._params.rollout.robots)
        for index in range(count):
            process = self._start(index, count)
            self._processes.append(process)
            os.set_blocking(_pipe(process.stdout).fileno(), False)
            self._selector.register(_pipe(process.stdout), selectors.EVENT_READ, process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def begin_phase(self, phase: str) -> None:
        """Marks the episodes that begin from now on."""
        for process in self._processes:
            # One that is gone is reported by `episodes`.
            with suppress(BrokenPipeError):
                os.write(_pipe(process.stdin).fileno(), f"{phase}\n".encode())

    def episodes(self) -> Iterator[Outcome | None]:
        """Ended episodes as they come, and None after each second without one. Raises `RobotsGone`."""
        while True:
            ready = self._selector.select(_TICK_S)
            if not ready:
                yield None
            for key, _ in ready:
                yield from self._read(key.data)

    def stop(self) -> None:
        """No new episodes; waits for the running ones, then for the processes."""
        for process in self._processes:
            _pipe(process.stdin).close()
        for process in self._processes:
            try:
                process.wait(self._params.rollout.drain_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _pipe(process.stdout).close()
        self._processes.clear()
        self._selector.close()

    def _read(self, process: subprocess.Popen[bytes]) -> Iterator[Outcome]:
        data = _pipe(process.stdout).read()
        if data is None:
            return
        if not data:
            code = process.wait()
            said = tail(self._log, 4)
            raise RobotsGone(f"process {process.pid} of the robots ended with {code}: {said}", where=str(self._log))
        *whole, rest = (self._partial.pop(process.pid, b"") + data).split(b"\n")
        self._partial[process.pid] = rest
        for line in whole:
            yield Outcome(**json.loads(line))

    def _start(self, index: int, count: int) -> subprocess.Popen[bytes]:
        params, job = self._params, self._job
        robot_job = RobotJob(
            workspace=str(self._workspace.root.resolve()),
            url=job.url,
            rollout_id=job.rollout_id,
            phase=job.phase,
            first_number=job.first_number,
            index=index,
            processes=count,
            robots=params.rollout.robots,
            tasks=params.raw.tasks,
            seed=params.rollout.seed,
            execute=params.evaluate.execute,
            horizon=params.evaluate.horizon,
            hold_s=params.evaluate.hold_s,
            timeout_s=params.serving.request_timeout_s,
            parent=os.getpid(),
        )
        defaults = {"MUJOCO_GL": "osmesa", "LP_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.rollout.robot", json.dumps(asdict(robot_job))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=_REPO,
                env={**defaults, **os.environ},
            )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream
