"""Robots without a simulator, a registry in one file, and a controller process that a test can kill.

Robots ask the real gateway with a real client; only what they see and how their episodes end is made up, by version.
"""

from __future__ import annotations

import json
import queue
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core.files import read_json, write_json
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.rollout.contracts import FleetJob, Outcome
from deploy.rollout.driver import resume, run_rollout
from deploy.rollout.evidence import Evidence
from deploy.rollout.log import State
from deploy.serving import Serving
from model_registry.registry import ModelVersion

TASKS = ("drawer-open", "faucet-open")
STEPS = 6
THREADS = 4


@dataclass(frozen=True)
class Script:
    """`rates`: version -> success rate; `bundles`: version -> sealed folder; `pace_s`: pause between two requests."""

    rates: dict[str, float]
    bundles: dict[str, str]
    pace_s: float = 0.0


class FileRegistry:
    """Versions of a script, aliases in a file that outlives its readers."""

    def __init__(self, workspace: Workspace, script: Script) -> None:
        self.path = workspace.state / "aliases.json"
        self.script = script

    def get(self, version: str) -> ModelVersion:
        from components.core.files import sha256_file

        folder = Path(self.script.bundles[version])
        return ModelVersion(version, sha256_file(folder / "manifest.json"), folder)

    def aliases(self) -> dict[str, str]:
        return read_json(self.path) if self.path.exists() else {}

    def alias(self, name: str) -> ModelVersion | None:
        return self.get(self.aliases()[name]) if name in self.aliases() else None

    def set_alias(self, name: str, version: str) -> None:
        write_json(self.path, self.aliases() | {name: version})

    def drop_alias(self, name: str) -> None:
        write_json(self.path, {key: value for key, value in self.aliases().items() if key != name})

    def require_promotable(self, version: str) -> None:
        self.get(version)


class ScriptedRobots:
    """Threads that run one episode after another; episodes end well or badly by lot."""

    def __init__(self, workspace: Workspace, params: Params, script: Script, job: FleetJob) -> None:
        self.job = job
        self.phase = job.phase
        self._timeout_s = params.serving.request_timeout_s
        self._script = script
        self._evidence = Evidence(workspace, job.rollout_id)
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(index,), daemon=True) for index in range(THREADS)]

    def __enter__(self) -> ScriptedRobots:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def begin_phase(self, phase: str) -> None:
        self.phase = phase

    def episodes(self) -> Iterator[Outcome | None]:
        while True:
            try:
                yield self._outcomes.get(timeout=0.5)
            except queue.Empty:
                yield None

    def _work(self, index: int) -> None:
        number = self.job.first_number + index
        with PolicyClient(self.job.url, self._timeout_s) as client:
            while not self._stop.is_set():
                self._outcomes.put(self._episode(client, number))
                number += THREADS

    def _episode(self, client: PolicyClient, number: int) -> Outcome:
        episode, robot, task = f"{self.job.rollout_id}-{number:05d}", f"cell-{number % THREADS + 1}", TASKS[number % 2]
        self._evidence.start(episode, robot=robot, task=task, seed=number, phase=self.phase, number=number)
        client.begin_episode("open the drawer", episode)
        images = {camera: np.full((96, 96, 3), number % 255, np.uint8) for camera in ("fixed", "wrist")}
        version = ""
        for step in range(STEPS):
            try:
                chunk = client.act(images, np.array([0.0, 0.6, 0.2, 0.5], np.float32))
            except PolicyUnavailable:
                # As a robot does: the rest of the chunk takes its time.
                time.sleep(0.1)
                continue
            if chunk.version != version:
                version = chunk.version
                self._evidence.served(episode, version)
            self._evidence.action(
                episode, step, version=version, bundle_digest=chunk.bundle_digest, robot=robot, task=task,
                latency_ms=chunk.latency_ms,
            )  # fmt: skip
            time.sleep(self._script.pace_s)
        success = random.Random(number).random() < self._script.rates.get(version, 0.0)
        record = client.end_episode("success" if success else "failure")
        self._evidence.end(episode, success=success, steps=STEPS, attempts=record.attempts, failures=record.failures)
        return Outcome(episode, version, success)


def control(workspace: Workspace, script: Script, command: str, rollout_id: str, version: str) -> State:
    """Runs or resumes a rollout in this process."""
    params = load_params(workspace.root / "params.yaml")
    ports: dict[str, Any] = {
        "serving": Serving.attach(workspace, params),
        "registry": FileRegistry(workspace, script),
        "fleet": lambda job: ScriptedRobots(workspace, params, script, job),
    }
    if command == "resume":
        return resume(workspace, params, rollout_id, **ports)
    return run_rollout(workspace, params, version=version, rollout_id=rollout_id, drill=command == "drill", **ports)


def controller_arguments(
    workspace: Workspace, script: Script, command: str, rollout_id: str, version: str
) -> list[str]:
    """The command line of a process that does `control`."""
    return [sys.executable, __file__, str(workspace.root), json.dumps(asdict(script)), command, rollout_id, version]


if __name__ == "__main__":
    _, root, words, asked, identity, wanted = sys.argv
    control(Workspace(Path(root)), Script(**json.loads(words)), asked, identity, wanted)
