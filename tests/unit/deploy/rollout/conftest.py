"""A world in memory for the driver: servers, registry and robots that obey the rules of the real ones.

The world outlives its controllers. `World.kill_at` ends a controller at the n-th point at which something durable
happens, before or after it, as SIGKILL would: nothing of the controller runs afterwards that the world could see.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import GateRefused, ServerError, UsageError
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from deploy.gateway.routes import Routes
from deploy.rollout import driver, lines
from deploy.rollout.contracts import FleetJob, Outcome
from deploy.rollout.evidence import Evidence
from deploy.rollout.log import State
from deploy.triton.metrics import SlotStats
from deploy.warmup import WarmUp
from model_registry.registry import ModelVersion

ROOT = Path(__file__).resolve().parents[4]
TASKS = ("drawer-open", "faucet-open")


class Killed(BaseException):
    """The controller is gone."""


@dataclass
class World:
    """`rates`: version -> success rate; `errors`: version -> share of failing attempts."""

    workspace: Workspace
    params: Params
    rates: dict[str, float] = field(default_factory=lambda: {"1": 1.0, "2": 1.0})
    errors: dict[str, float] = field(default_factory=dict)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    stats: dict[str, list[int]] = field(default_factory=dict)
    routes: Routes | None = None
    gateway: bool = False
    aliases: dict[str, str] = field(default_factory=lambda: {"champion": "1"})
    gated: set[str] = field(default_factory=lambda: {"1", "2"})
    broken: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    points: int = 0
    kill_at: int | None = None
    on_episode: Callable[[int], None] = lambda number: None
    # Tests cannot import a conftest.
    killed = Killed

    def point(self, what: str) -> None:
        """Something durable is about to happen, or just did."""
        self.points += 1
        self.calls.append(what)
        if self.kill_at is not None and self.points >= self.kill_at:
            raise Killed(what)

    @property
    def path(self) -> Path:
        return self.workspace.store

    def run(self, version: str = "2", *, drill: bool = False) -> State:
        return driver.run_rollout(
            self.workspace, self.params, version=version, drill=drill, rollout_id="r", **self.ports()
        )

    def resume(self) -> State:
        return driver.resume(self.workspace, self.params, "r", **self.ports())

    def ports(self) -> dict[str, Any]:
        return {
            "serving": MemoryServing(self),
            "registry": MemoryRegistry(self),
            "fleet": lambda job: ScriptedFleet(self, job),
        }


class MemoryServing:
    """The rules of `deploy.serving.Serving`: what is in use is neither replaced nor unloaded."""

    url = "memory"

    def __init__(self, world: World) -> None:
        self.world = world

    def ensure_gateway(self) -> None:
        self.world.point("gateway")
        self.world.gateway = True
        self.world.point("gateway done")

    def load(self, slot: str, version: str, bundle_dir: Path) -> None:
        world = self.world
        world.point(f"load {slot} {version}")
        current = world.slots.get(slot)
        if current and current["version"] != version and world.routes and world.routes.uses(slot):
            raise UsageError(f"slot {slot} is in use")
        if any(other != slot and found["version"] == version for other, found in world.slots.items()):
            raise UsageError(f"version {version} is in another slot")
        world.slots.pop(slot, None)
        if version in world.broken:
            raise ServerError(f"version {version} does not start")
        world.slots[slot] = {"version": version, "bundle_digest": bundle_dir.name, "ready": True}
        world.stats[slot] = [0, 0]
        world.point(f"load {slot} {version} done")

    def warm_up(self, slot: str) -> WarmUp:
        self.world.stats[slot] = [0, 0]
        return WarmUp(0.0, 1.0, 2.0)

    def routes(self) -> Routes | None:
        return self.world.routes

    def set_routes(self, routes: Routes) -> None:
        self.world.point("routes")
        if not {slot for slot in (routes.incumbent, routes.candidate) if slot} <= self.world.slots.keys():
            raise UsageError("a slot serves nothing")
        self.world.routes = routes
        self.world.point("routes done")

    def slot_stats(self, slot: str) -> SlotStats:
        return SlotStats(*self.world.stats[slot])

    def drain(self, slot: str, timeout_s: float, open_episodes: Callable[[], int] = lambda: 0) -> bool:
        return open_episodes() == 0

    def unload(self, slot: str) -> None:
        self.world.point(f"unload {slot}")
        if self.world.routes and self.world.routes.uses(slot):
            raise UsageError(f"slot {slot} is in use")
        self.world.slots.pop(slot, None)
        self.world.point(f"unload {slot} done")

    def status(self) -> dict[str, Any]:
        return {"gateway": {"alive": self.world.gateway}, "slots": {k: dict(v) for k, v in self.world.slots.items()}}


class MemoryRegistry:
    def __init__(self, world: World) -> None:
        self.world = world

    def get(self, version: str) -> ModelVersion:
        return ModelVersion(version, f"digest-{version}", self.world.path / f"digest-{version}")

    def alias(self, name: str) -> ModelVersion | None:
        return self.get(self.world.aliases[name]) if name in self.world.aliases else None

    def set_alias(self, name: str, version: str) -> None:
        self.world.point(f"alias {name} {version}")
        if name == "champion":
            self.require_promotable(version)
        self.world.aliases[name] = version
        self.world.point(f"alias {name} {version} done")

    def drop_alias(self, name: str) -> None:
        self.world.point(f"drop {name}")
        self.world.aliases.pop(name, None)
        self.world.point(f"drop {name} done")

    def require_promotable(self, version: str) -> None:
        if version not in self.world.gated:
            raise GateRefused(f"version {version} did not pass the gate")


class ScriptedFleet:
    """One robot whose episodes go where the routes say, by lot; success and errors by the version's rates."""

    def __init__(self, world: World, job: FleetJob) -> None:
        self.world = world
        self.job = job
        self.phase = job.phase
        self.number = job.first_number

    def __enter__(self) -> ScriptedFleet:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin_phase(self, phase: str) -> None:
        self.phase = phase

    def episodes(self) -> Iterator[Outcome | None]:
        while self.number < 500:
            self.world.on_episode(self.number)
            yield self._episode(self.number)
            self.number += 1

    def _episode(self, number: int) -> Outcome:
        world, routes = self.world, self.world.routes
        assert routes is not None
        draw = random.Random(number)
        evidence = Evidence(world.workspace, self.job.rollout_id)
        episode = f"e{number}"
        task = TASKS[number // 2 % 2]
        evidence.start(episode, robot="cell-1", task=task, seed=number, phase=self.phase, number=number)
        slot = routes.candidate if routes.candidate and draw.random() < routes.candidate_share else routes.incumbent
        assert slot is not None
        version = world.slots[slot]["version"]
        evidence.served(episode, version)
        # Killed here, the episode stays open.
        if number % 7 == 0:
            world.point(f"episode {number}")
        failures = sum(draw.random() < world.errors.get(version, 0.0) for _ in range(10))
        success = draw.random() < world.rates[version]
        if routes.mirror and routes.candidate:
            world.stats[routes.candidate][0] += 10
        evidence.end(episode, success=success, steps=40, attempts=10, failures=failures)
        return Outcome(episode, version, success)


@pytest.fixture
def small_params() -> Params:
    """A rollout that decides after few episodes."""
    params = load_params(ROOT / "params.yaml")
    quick = {"shadow_requests": 20, "min_episodes": 6, "max_episodes": 40, "margin": 0.4, "evidence_timeout_s": 5.0}
    quick |= {"alpha_abort": 0.1, "alpha_promote": 0.2}
    return params.model_copy(update={"rollout": params.rollout.model_copy(update=quick)})


@pytest.fixture
def make_world(
    tmp_path_factory: pytest.TempPathFactory, small_params: Params, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], World]:
    """Worlds in which version 1 is champion and version 2 the candidate; each log line is a point to die at."""
    append = lines.append
    newest: list[World] = []

    def counted(path: Path, value: dict[str, Any], *, sync: bool = True) -> None:
        is_log = path.name == "log.jsonl"
        if is_log:
            newest[-1].point(f"log {value['kind']}")
        append(path, value, sync=sync)
        if is_log:
            newest[-1].point(f"log {value['kind']} done")

    monkeypatch.setattr(lines, "append", counted)
    # A controller dies here, not the machine: what was written is there.
    monkeypatch.setattr("os.fsync", lambda handle: None)

    def make() -> World:
        newest.append(World(Workspace(tmp_path_factory.mktemp("world")), small_params))
        return newest[-1]

    return make


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()
