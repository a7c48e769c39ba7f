"""What a rollout changes outside its log. Every change: look, log the intent, act, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.core.errors import ServerError
from components.core.workspace import Workspace
from deploy.gateway.routes import Routes
from deploy.rollout.contracts import RegistryPort, ServingPort
from deploy.rollout.log import Arm, RolloutLog


class Effects:
    """Each method may be called again after a crash anywhere in it: it does what is missing, and nothing twice."""

    def __init__(self, workspace: Workspace, serving: ServingPort, registry: RegistryPort, log: RolloutLog) -> None:
        self.serving = serving
        self.registry = registry
        self._workspace = workspace
        self._log = log

    def gateway(self) -> None:
        """The gateway runs and routes as the serving state says."""
        self._ensure("gateway", lambda: bool(self._gateway().get("alive")), self.serving.ensure_gateway)

    def loaded(self, arm: Arm) -> None:
        """The arm's slot serves the arm's bundle, and has answered its examples right."""
        if self.serves(arm):
            return
        path = self._workspace.root / arm.path
        self._ensure(
            "load", lambda: self.serves(arm), lambda: self.serving.load(arm.slot, arm.version, path), **asdict(arm)
        )
        self.warm_up(arm)

    def warm_up(self, arm: Arm) -> None:
        """The value check; raises `ServerError` where the slot answers wrong. May be repeated: it changes nothing."""
        found = self.serving.warm_up(arm.slot)
        self._log.note("warm_up", version=arm.version, slot=arm.slot, **asdict(found))

    def routes(self, routes: Routes) -> None:
        """New episodes go where `routes` says."""
        self._ensure(
            "routes", lambda: self.serving.routes() == routes, lambda: self.serving.set_routes(routes), **asdict(routes)
        )

    def alias(self, name: str, version: str) -> None:
        self._ensure(
            "alias",
            lambda: self.alias_of(name) == version,
            lambda: self.registry.set_alias(name, version),
            alias=name,
            version=version,
        )

    def no_alias(self, name: str, version: str) -> None:
        """`name` does not point to `version`; an alias of another version is left alone."""
        self._ensure(
            "drop_alias",
            lambda: self.alias_of(name) != version,
            lambda: self.registry.drop_alias(name),
            alias=name,
            version=version,
        )

    def unloaded(self, arm: Arm, drain_s: float, open_episodes: Callable[[], int]) -> None:
        """Lets the arm's episodes end, `drain_s` at most, then stops its server; a slot of others is left alone."""
        if not self.occupies(arm):
            return
        if not self.serving.drain(arm.slot, drain_s, open_episodes):
            self._log.note("drain_timeout", slot=arm.slot, version=arm.version, waited_s=drain_s)
        self._ensure("unload", lambda: not self.occupies(arm), lambda: self.serving.unload(arm.slot), **asdict(arm))

    def serves(self, arm: Arm) -> bool:
        """Whether the arm's slot answers now, with the arm's version."""
        return self.occupies(arm) and bool(self._slot(arm).get("ready"))

    def occupies(self, arm: Arm) -> bool:
        slot = self._slot(arm)
        return (slot.get("version"), slot.get("bundle_digest")) == (arm.version, arm.digest)

    def alias_of(self, name: str) -> str | None:
        found = self.registry.alias(name)
        return found.version if found else None

    def _slot(self, arm: Arm) -> dict[str, Any]:
        return self.serving.status()["slots"].get(arm.slot) or {}

    def _gateway(self) -> dict[str, Any]:
        return self.serving.status()["gateway"] or {}

    def _ensure(self, effect: str, holds: Callable[[], bool], act: Callable[[], None], **fields: Any) -> None:
        if holds():
            return
        self._log.intent(effect, **fields)
        act()
        if not holds():
            raise ServerError(f"{effect} did not take", where=str(fields.get("slot", "")) or None)
        self._log.done(effect, **fields)


def relative_path(workspace: Workspace, path: Path) -> str:
    """`path` as it is kept in a log: relative where it lies in the workspace, so that the workspace can move."""
    resolved, root = path.resolve(), workspace.root.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else str(resolved)
