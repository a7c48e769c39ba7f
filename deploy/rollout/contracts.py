"""What the driver needs of others: servers, the registry, and robots that run episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.core.errors import ComponentError
from deploy.gateway.routes import Routes
from deploy.triton.metrics import SlotStats
from deploy.warmup import WarmUp
from model_registry.registry import ModelVersion


class RobotsGone(ComponentError):
    """The robots ended without being told to."""

    code = "robots_gone"


class ServingPort(Protocol):
    """`deploy.serving.Serving`, as far as a rollout uses it."""

    @property
    def url(self) -> str: ...
    def ensure_gateway(self) -> None: ...
    def load(self, slot: str, version: str, bundle_dir: Path) -> None: ...
    def warm_up(self, slot: str) -> WarmUp: ...
    def routes(self) -> Routes | None: ...
    def set_routes(self, routes: Routes) -> None: ...
    def slot_stats(self, slot: str) -> SlotStats: ...
    def drain(self, slot: str, timeout_s: float, open_episodes: Callable[[], int] = ...) -> bool: ...
    def unload(self, slot: str) -> None: ...
    def status(self) -> dict[str, Any]: ...


class RegistryPort(Protocol):
    """`model_registry.registry.Registry`, as far as a rollout uses it."""

    def get(self, version: str) -> ModelVersion: ...
    def alias(self, name: str) -> ModelVersion | None: ...
    def set_alias(self, name: str, version: str) -> None: ...
    def drop_alias(self, name: str) -> None: ...
    def require_promotable(self, version: str) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What a robot says when an episode ends; the durable record is in the evidence."""

    episode: str
    version: str
    success: bool


@dataclass(frozen=True)
class FleetJob:
    """`phase` marks the episodes in the evidence; they are numbered from `first_number` on."""

    url: str
    rollout_id: str
    phase: str
    first_number: int


class Fleet(AbstractContextManager["Fleet"], Protocol):
    """Robots at work from entry to exit."""

    def episodes(self) -> Iterator[Outcome | None]:
        """Ended episodes as they come, and None about once a second while none does. Raises `RobotsGone`."""
        ...

    def begin_phase(self, phase: str) -> None:
        """Marks the episodes that begin from now on."""
        ...


FleetFactory = Callable[[FleetJob], Fleet]
