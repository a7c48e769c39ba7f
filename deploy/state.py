"""What serves, on disk: read by every controller process, replaced atomically, changed under a lock."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.errors import Busy, ServerError
from components.core.files import write_text
from deploy.gateway.gateway import Gateway
from deploy.gateway.routes import Routes, SlotAddress
from deploy.triton.metrics import SlotStats
from deploy.triton.server import TritonServer

_POLL_S = 0.02


class SlotState(BaseModel):
    """A slot with a policy: what it serves, who serves it, and the counters before its first real request."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: str
    bundle: Path
    digest: str
    server: TritonServer
    counted_from: SlotStats = SlotStats(0, 0)

    @property
    def address(self) -> SlotAddress:
        return SlotAddress(self.version, self.server.ports.grpc, self.server.ports.http)

    def describe(self) -> dict[str, Any]:
        """Facts of now, as JSON values."""
        process = self.server.process
        return {
            "version": self.version,
            "bundle": str(self.bundle),
            "bundle_digest": self.digest,
            "url": self.server.url,
            "pid": process.pid,
            "alive": process.alive,
            "ready": self.server.ready,
            "rss_bytes": process.rss_bytes,
        }


class ServingState(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    gateway: Gateway | None = None
    slots: dict[str, SlotState] = {}
    routes: Routes | None = None

    @property
    def addresses(self) -> dict[str, SlotAddress]:
        return {slot: found.address for slot, found in sorted(self.slots.items())}

    def with_slot(self, slot: str, found: SlotState) -> ServingState:
        return self.model_copy(update={"slots": {**self.slots, slot: found}})

    def without_slot(self, slot: str) -> ServingState:
        """The slot is a candidate no more either."""
        routes = self.routes
        if routes is not None and routes.candidate == slot:
            routes = Routes(routes.incumbent, pinned=routes.pinned)
        slots = {name: found for name, found in self.slots.items() if name != slot}
        return self.model_copy(update={"slots": slots, "routes": routes})

    def with_routes(self, routes: Routes | None) -> ServingState:
        return self.model_copy(update={"routes": routes})

    def with_gateway(self, gateway: Gateway | None) -> ServingState:
        return self.model_copy(update={"gateway": gateway})

    def describe(self) -> dict[str, Any]:
        """Facts of now, as JSON values."""
        gateway = self.gateway
        return {
            "gateway": None
            if gateway is None
            else {
                "url": gateway.url,
                "admin_url": f"127.0.0.1:{gateway.admin_port}",
                "pid": gateway.process.pid,
                "alive": gateway.process.alive,
                "ready": gateway.ready,
                "rss_bytes": gateway.process.rss_bytes,
            },
            "slots": {slot: found.describe() for slot, found in sorted(self.slots.items())},
            "routes": None if self.routes is None else asdict(self.routes),
        }


class StateFile:
    """`state.json` in the serving folder, and the locks beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.json"

    def read(self) -> ServingState:
        try:
            return ServingState.model_validate_json(self.path.read_text())
        except FileNotFoundError:
            return ServingState()
        except ValidationError as error:
            hint = "Stop tritonserver and envoy by hand, then delete the file"
            raise ServerError(f"not a serving state: {error}", where=str(self.path), hint=hint) from error

    def write(self, state: ServingState) -> None:
        write_text(self.path, state.model_dump_json(indent=2) + "\n")

    @contextmanager
    def lock(self, name: str, timeout_s: float) -> Iterator[None]:
        """Holds a named lock against other processes and threads. Raises `Busy` after `timeout_s`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_s
        with (self.folder / f"{name}.lock").open("a") as handle:
            while not _try_lock(handle.fileno()):
                if time.monotonic() > deadline:
                    raise Busy("another controller is at work", where=handle.name, hint="Try again later")
                time.sleep(_POLL_S)
            yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
