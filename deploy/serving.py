"""Two slots and a gateway on this machine: what a rollout drives.

Desired state lies in `.gripline/serving/state.json`, and Envoy's files are a function of it. The servers are detached:
they outlive the controller, and the next one adopts them. Whoever changes the state writes it first and carries it out
then; what a killed controller left undone, `ensure_gateway` does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.core.errors import ComponentError, ServerError, UsageError
from components.core.params import Params
from components.core.workspace import Workspace
from deploy.gateway import admin
from deploy.gateway.gateway import Gateway, GatewayFiles, start_gateway, sweep_gateway
from deploy.gateway.routes import SLOTS, Routes
from deploy.state import ServingState, SlotState, StateFile
from deploy.triton.environment import find_environment
from deploy.triton.metrics import SlotStats, read_metrics
from deploy.triton.repository import ServedPolicy, read_policy, write_repository
from deploy.triton.server import repository_folder, start_server, sweep_server
from deploy.warmup import WarmUp, check_answers

_POLL_S = 0.02
# A slot that nobody asked for so long has no robot in mid-episode: they ask several times a second.
_QUIET_S = 1.0
_LOCK_S = 15.0
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Serving:
    """Handle on what serves in a workspace; as many as one likes, in any process."""

    def __init__(self, workspace: Workspace, params: Params) -> None:
        self.workspace = workspace
        self._params = params.serving
        self._folder = workspace.serving.resolve()
        self._state = StateFile(self._folder)
        self._files = GatewayFiles(self._folder / "gateway", self._params.request_timeout_s)

    @classmethod
    def attach(cls, workspace: Workspace, params: Params) -> Serving:
        """Starts nothing; servers that run already are found through the state."""
        return cls(workspace, params)

    @property
    def url(self) -> str:
        """Where clients connect, "host:port". Raises `ServerError` where no gateway was started."""
        return self._gateway().url

    def ensure_gateway(self) -> None:
        """Starts the gateway, adopts it, or restarts it at its old port; then the routes of the state are in force."""
        with self._state.lock("state", _LOCK_S):
            state = self._state.read()
            self._carry_out(state if state.gateway else self._start_gateway(state))

    def load(self, slot: str, version: str, bundle_dir: Path) -> None:
        """Starts the slot's server with a bundle and waits until it is ready; that alone brings it no new episodes.

        Nothing happens where it serves that already; a server that died is started again. Raises `BundleError` for a
        damaged bundle, `UsageError` where routes use the slot for another one, `ServerError` where it does not start.
        """
        if not _VERSION.fullmatch(version):
            raise UsageError(f"{version!r} is not a version", hint="Letters, digits, dot, dash and underscore")
        policy = read_policy(version, bundle_dir)
        with self._slot_lock(slot):
            state = self._state.read()
            current = state.slots.get(slot)
            if current is not None and _same(current, policy) and current.server.ready:
                return
            _require_place(state, slot, policy)
            if current is not None and not _same(current, policy):
                self._retire(slot, current)
            began = time.monotonic()
            found = self._start_slot(slot, policy, current)
            self._change(lambda now: now.with_slot(slot, found))
            self._note("serving.load", began, slot=slot, version=version, bundle=policy.digest)

    def warm_up(self, slot: str) -> WarmUp:
        """Asks the slot itself what the bundle's own examples ask. Raises `ServerError` where its answers differ."""
        found = self._slot(slot)
        result = check_answers(found, self._params.warmup_requests, self._params.request_timeout_s)
        counted_from = replace(read_metrics(found.server.ports.metrics), pending=0)
        warmed = found.model_copy(update={"counted_from": counted_from})
        self._change(lambda now: now.with_slot(slot, warmed) if now.slots.get(slot) == found else now)
        return result

    def routes(self) -> Routes | None:
        """The routes that are wanted; `None` before the first `set_routes`."""
        return self._state.read().routes

    def set_routes(self, routes: Routes) -> None:
        """Returns when the gateway routes by them: no request that arrives later takes an older route."""

        def edit(now: ServingState) -> ServingState:
            for slot in filter(None, (routes.incumbent, routes.candidate)):
                if slot not in now.slots:
                    raise UsageError(f"slot {slot!r} serves nothing", hint="Load a bundle into it first")
            return now.with_routes(routes)

        began = time.monotonic()
        self._change(edit)
        self._note("serving.routes", began, routes=vars(routes))

    def slot_stats(self, slot: str) -> SlotStats:
        """Requests that the slot answered and failed since its warm-up, mirrored ones included."""
        found = self._slot(slot)
        return read_metrics(found.server.ports.metrics).since(found.counted_from)

    def drain(self, slot: str, timeout_s: float, open_episodes: Callable[[], int] = lambda: 0) -> bool:
        """Waits until no episode is open and nobody has asked the slot for a while; False where time runs out.

        `open_episodes`: how many episodes the caller knows to be with the slot's version. A robot that the caller does
        not know asks on until its episode ends.
        """
        self._slot(slot)
        quiet_s, began = min(_QUIET_S, timeout_s / 2), time.monotonic()
        seen, quiet_since = self._answered(slot), began
        while True:
            now, answered = time.monotonic(), self._answered(slot)
            if open_episodes() or self._under_way(slot) or answered != seen:
                seen, quiet_since = answered, now
            elif now - quiet_since >= quiet_s:
                return True
            if now - began > timeout_s:
                return False
            time.sleep(_POLL_S)

    def _answered(self, slot: str) -> int:
        """Requests that the slot has ended since it started; 0 where it does not say."""
        try:
            stats = read_metrics(self._slot(slot).server.ports.metrics)
        except ServerError:
            return 0
        return stats.success + stats.failure

    def unload(self, slot: str) -> None:
        """Takes the slot's version out of the routes, lets requests under way end, stops the server.

        Raises `UsageError` while new episodes or copies go there. Nothing happens where nothing is loaded.
        """
        with self._slot_lock(slot):
            state = self._state.read()
            current = state.slots.get(slot)
            if current is None:
                return
            if state.routes is not None and state.routes.uses(slot):
                raise UsageError(f"slot {slot!r} is in use", hint="Set routes that do without it first")
            began = time.monotonic()
            self._retire(slot, current)
            self._note("serving.unload", began, slot=slot, version=current.version)

    def status(self) -> dict[str, Any]:
        """What is wanted and what is there, as JSON values; starts nothing."""
        return self._state.read().describe()

    def stop(self) -> None:
        """Stops gateway and slots, also those that no state remembers, and forgets the routes."""
        lock = self._state.lock
        with lock("slot_a", _LOCK_S), lock("slot_b", _LOCK_S), lock("state", _LOCK_S):
            state = self._state.read()
            if state.gateway is not None:
                state.gateway.stop()
            sweep_gateway(self._files)
            with ThreadPoolExecutor(len(SLOTS)) as pool:
                list(pool.map(lambda slot: self._stop_slot(slot, state.slots.get(slot)), SLOTS))
            self._state.write(ServingState())

    def _change(self, edit: Callable[[ServingState], ServingState]) -> None:
        """One change: written, then carried out, then, where that fails, taken back."""
        with self._state.lock("state", _LOCK_S):
            before = self._state.read()
            after = edit(before)
            self._state.write(after)
            try:
                self._carry_out(after)
            except ComponentError:
                self._state.write(before.with_gateway(self._state.read().gateway))
                self._files.write(before.routes, before.addresses)
                raise

    def _carry_out(self, state: ServingState) -> None:
        """Makes the gateway do what the state says; one that died is started again."""
        if state.gateway is None:
            self._files.write(state.routes, state.addresses)
            return
        if state.gateway.process.alive:
            try:
                self._files.apply(state.gateway, state.routes, state.addresses)
                return
            except ServerError:
                if state.gateway.process.alive:
                    raise
        started = self._start_gateway(state)
        self._files.apply(_require(started.gateway), started.routes, started.addresses)

    def _start_gateway(self, state: ServingState) -> ServingState:
        environment = find_environment(self.workspace.root)
        began = time.monotonic()
        old = state.gateway
        if old is not None:
            old.stop()
        sweep_gateway(self._files)
        self._files.write(state.routes, state.addresses)
        self._files.validate(environment, state.routes, state.addresses)
        ports = None if old is None else (old.port, old.admin_port)
        started = state.with_gateway(start_gateway(environment, self._files, ports, self._params.startup_timeout_s))
        self._state.write(started)
        self._note("serving.gateway", began, restarted=old is not None)
        return started

    def _start_slot(self, slot: str, policy: ServedPolicy, old: SlotState | None) -> SlotState:
        environment = find_environment(self.workspace.root)
        folder = self._slot_folder(slot)
        self._stop_slot(slot, old)
        write_repository(repository_folder(folder), policy)
        timeout_s = self._params.startup_timeout_s
        server = start_server(environment, folder, self._folder / "backends", timeout_s)
        return SlotState(version=policy.version, bundle=policy.bundle, digest=policy.digest, server=server)

    def _stop_slot(self, slot: str, found: SlotState | None) -> None:
        if found is not None:
            found.server.stop()
        sweep_server(self._slot_folder(slot))

    def _retire(self, slot: str, current: SlotState) -> None:
        self._change(lambda now: now.without_slot(slot))
        deadline = time.monotonic() + self._params.request_timeout_s
        while self._under_way(slot) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self._stop_slot(slot, current)

    def _under_way(self, slot: str) -> int:
        """Requests at the slot that are not answered yet, as gateway and slot see them; the dead have none.

        Where one of them lives and does not say, there may be a request: 1.
        """
        state = self._state.read()
        count = 0
        if state.gateway is not None and state.gateway.process.alive:
            try:
                count += admin.requests_under_way(state.gateway.admin_port, slot)
            except OSError:
                count += 1
        if slot in state.slots and state.slots[slot].server.process.alive:
            try:
                count += read_metrics(state.slots[slot].server.ports.metrics).pending
            except ServerError:
                count += 1
        return count

    def _slot(self, slot: str) -> SlotState:
        found = self._state.read().slots.get(_known(slot))
        if found is None:
            raise UsageError(f"slot {slot!r} serves nothing", hint="Load a bundle into it first")
        return found

    def _slot_lock(self, slot: str) -> Any:
        return self._state.lock(f"slot_{_known(slot)}", self._params.startup_timeout_s)

    def _slot_folder(self, slot: str) -> Path:
        return self._folder / f"slot_{slot}"

    def _gateway(self) -> Gateway:
        return _require(self._state.read().gateway)

    def _note(self, event: str, began: float, **fields: Any) -> None:
        self.workspace.journal.write(event, seconds=round(time.monotonic() - began, 4), **fields)


def _require(gateway: Gateway | None) -> Gateway:
    if gateway is None:
        raise ServerError("no gateway was started", hint="Ensure the gateway first")
    return gateway


def _known(slot: str) -> str:
    if slot not in SLOTS:
        raise UsageError(f"no slot {slot!r}; there are {', '.join(SLOTS)}")
    return slot


def _same(current: SlotState, policy: ServedPolicy) -> bool:
    return (current.version, current.digest) == (policy.version, policy.digest)


def _require_place(state: ServingState, slot: str, policy: ServedPolicy) -> None:
    """A slot in use keeps its policy, and a version names one slot only."""
    current = state.slots.get(slot)
    if current is not None and not _same(current, policy) and state.routes is not None and state.routes.uses(slot):
        raise UsageError(f"slot {slot!r} is in use with version {current.version}", hint="Change the routes first")
    for other, found in state.slots.items():
        if other != slot and found.version == policy.version:
            raise UsageError(f"version {policy.version} is in slot {other!r} already", hint="Unload it there first")
