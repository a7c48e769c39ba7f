"""One process of the simulated fleet: runs episodes of several robots in turn until its standard input closes.

Started by `robots.py` with a JSON job as argument. Each line on standard input names the phase of the rollout; each
line on standard output is an episode that ended. It dies with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.core.children import die_with_parent
from components.core.workspace import Workspace
from components.sim.cell import CONTROL_NS, Cell, Observation
from components.sim.rollout import run_episode
from components.sim.tasks import task as find_task
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.rollout.contracts import Outcome
from deploy.rollout.evidence import Evidence

CONTROL_S = CONTROL_NS * 1e-9


@dataclass(frozen=True)
class RobotJob:
    """Process `index` of `processes` runs the episodes number first_number + index, + processes, + 2 processes ..."""

    workspace: str
    url: str
    rollout_id: str
    phase: str
    first_number: int
    index: int
    processes: int
    robots: int
    tasks: tuple[str, ...]
    seed: int
    execute: int
    horizon: int
    hold_s: float
    timeout_s: float
    parent: int

    def robot(self, number: int) -> str:
        """Every robot goes through all tasks before the next one's turn, so that robots and tasks cross."""
        return f"cell-{number // len(self.tasks) % self.robots + 1}"

    def task(self, number: int) -> str:
        return self.tasks[number % len(self.tasks)]

    def episode(self, number: int) -> str:
        return f"{self.rollout_id}-{number:06d}"


class Chunks:
    """The policy as one episode's robot sees it: asks, and bridges an attempt that failed with the chunk at hand."""

    def __init__(
        self, client: PolicyClient, evidence: Evidence, job: RobotJob, number: int, wait: Callable[[float], None]
    ) -> None:
        self.version = ""
        self._client = client
        self._evidence = evidence
        self._job = job
        self._number = number
        self._wait = wait
        self._left: npt.NDArray[np.float32] = np.empty((0, 4), dtype=np.float32)
        self._last = np.zeros(4, dtype=np.float32)

    def __call__(self, observation: Observation, _instruction: str) -> npt.NDArray[np.floating]:
        """Actions [H, 4] to run next."""
        job = self._job
        try:
            chunk = self._client.act(observation.images, observation.state)
        except PolicyUnavailable:
            return self._rest()
        episode = job.episode(self._number)
        if chunk.version != self.version:
            self._evidence.served(episode, chunk.version)
            self.version = chunk.version
        self._evidence.action(
            episode,
            chunk.step,
            version=chunk.version,
            bundle_digest=chunk.bundle_digest,
            robot=job.robot(self._number),
            task=job.task(self._number),
            latency_ms=chunk.latency_ms,
        )
        self._left = chunk.actions[job.execute :]
        self._last = chunk.actions[min(job.execute, len(chunk.actions)) - 1]
        return chunk.actions

    def _rest(self) -> npt.NDArray[np.floating]:
        """What is left of the last chunk, then standing still; in real time, since the outage lasts in real time."""
        rest, self._left = self._left[: self._job.execute], self._left[self._job.execute :]
        if len(rest):
            self._last = rest[-1]
        else:
            rest = np.concatenate([np.zeros(3, dtype=np.float32), self._last[3:]])[None]
        self._wait(CONTROL_S * len(rest))
        return rest


class RobotProcess:
    """Cells are made when their task first comes up and kept: making one takes longer than an episode."""

    def __init__(self, job: RobotJob, cell_of: Callable[[str], Any] | None = None) -> None:
        self.job = job
        self.phase = job.phase
        self._evidence = Evidence(Workspace(Path(job.workspace)), job.rollout_id)
        self._cell_of = cell_of or (lambda name: Cell(name, hold_s=job.hold_s))
        self._cells: dict[str, Any] = {}

    def run(self, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Episodes one after another; `stopped` is asked between two of them."""
        number = self.job.first_number + self.job.index
        with ExitStack() as stack:
            client = stack.enter_context(PolicyClient(self.job.url, self.job.timeout_s))
            while not stopped():
                name = self.job.task(number)
                if name not in self._cells:
                    self._cells[name] = stack.enter_context(self._cell_of(name))
                    continue
                yield self.episode(client, self._cells[name], number)
                number += self.job.processes

    def episode(self, client: PolicyClient, cell: Any, number: int) -> Outcome:
        """One episode, on record from its start to its end."""
        job, episode, seed = self.job, self.job.episode(number), self.job.seed + number
        instruction = find_task(job.task(number)).phrasing(number // len(job.tasks))
        self._evidence.start(
            episode, robot=job.robot(number), task=job.task(number), seed=seed, phase=self.phase, number=number
        )
        client.begin_episode(instruction, episode)
        act = Chunks(client, self._evidence, job, number, time.sleep)
        found = run_episode(cell, act, seed=seed, instruction=instruction, execute=job.execute, horizon=job.horizon)
        record = client.end_episode("success" if found.success else "failure")
        self._evidence.end(
            episode, success=found.success, steps=found.steps, attempts=record.attempts, failures=record.failures
        )
        return Outcome(episode, act.version, found.success)


def main(argv: Sequence[str]) -> None:
    job_fields = json.loads(argv[1])
    job = RobotJob(**{**job_fields, "tasks": tuple(job_fields["tasks"])})
    die_with_parent(job.parent)
    # A parent that closes the pipe waits for the episode in hand; signals of its terminal are not for robots.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = RobotProcess(job)
    stopped = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, process, stopped), daemon=True).start()
    with _line_channel() as channel:
        for outcome in process.run(stopped.is_set):
            channel.write(json.dumps(asdict(outcome)) + "\n")
            channel.flush()


def _listen(stream: IO[str], process: RobotProcess, stopped: threading.Event) -> None:
    for line in stream:
        process.phase = line.strip()
    stopped.set()


@contextmanager
def _line_channel() -> Iterator[IO[str]]:
    """Standard output for outcomes only: what libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        yield channel


if __name__ == "__main__":
    main(sys.argv)
