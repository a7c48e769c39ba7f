"""One Envoy process in front of the slots, and the files that it follows."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import Busy, ServerError
from components.core.files import write_json
from deploy.gateway import admin, config
from deploy.gateway.routes import SLOTS, Routes, SlotAddress
from deploy.process import ServerProcess, find_running, free_ports, port_in_use, spawn, tail
from deploy.triton.environment import ServingEnvironment

_POLL_S = 0.002
_IN_FORCE_S = 5.0
_STOP_S = 5.0
_AGAIN = "Ensure the gateway again"

Slots = Mapping[str, SlotAddress]


@dataclass(frozen=True)
class Gateway:
    """A started gateway: robots speak to `port`; `admin_port` is for this machine's operators."""

    process: ServerProcess
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ready(self) -> bool:
        try:
            return self.process.alive and bool(admin.routes_in_force(self.port))
        except OSError:
            return False

    def stop(self) -> None:
        self.process.stop(_STOP_S)


@dataclass(frozen=True)
class GatewayFiles:
    """What Envoy follows in `folder`: one file of routes, one of endpoints per slot and protocol.

    `timeout_s`: how long a slot may take for one request.
    """

    folder: Path
    timeout_s: float

    @property
    def bootstrap(self) -> Path:
        return self.folder / "bootstrap.json"

    @property
    def log(self) -> Path:
        return self.folder / "envoy.log"

    def write(self, routes: Routes | None, slots: Slots) -> str:
        """Writes everything, each file atomically; returns the revision of the routes."""
        self._write_endpoints(_ports(slots))
        return self._write_routes(routes, slots)

    def apply(self, gateway: Gateway, routes: Routes | None, slots: Slots) -> None:
        """Writes, and returns when the gateway sends every later request by these routes.

        New endpoints first: Envoy hands both to its worker in order, so routes in force mean endpoints in force. Those
        of a slot that is gone last: until the routes do without it, a robot in mid-episode may still ask there.
        Raises `ServerError` with Envoy's reason where it does not take them.
        """
        ports = _ports(slots)
        there = {key: port for key, port in ports.items() if port is not None}
        if self._write_endpoints(there):
            self._await(gateway, lambda: there.items() <= _known_ports(gateway).items(), "the endpoints")
        revision = self._write_routes(routes, slots)

        def in_force() -> bool:
            # The gateway has one worker thread, so its own answer is the proof.
            if admin.routes_in_force(gateway.port)["revision"] == revision:
                return True
            if refusal := self._refusal(revision):
                raise ServerError(f"the gateway refuses the routes: {refusal}", where=gateway.url)
            return False

        self._await(gateway, in_force, "the routes")
        if self._write_endpoints(ports):
            self._await(gateway, lambda: _ports(slots) == _known_ports(gateway), "the endpoints")

    def validate(self, environment: ServingEnvironment, routes: Routes | None, slots: Slots) -> None:
        """Has Envoy read bootstrap and routes without starting. Raises `ServerError` with what it says."""
        path = self.folder / "validate.json"
        _, resource = config.route_resource(routes, slots, self.timeout_s)
        write_json(path, config.validation_bootstrap(self.folder, 1, 2, resource))
        argv = [str(environment.envoy), "--mode", "validate", "-c", str(path), "-l", "error"]
        done = subprocess.run(argv, env=environment.variables(), capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr)[-600:].strip()
            raise ServerError(f"Envoy refuses the configuration:\n{said}", where=str(path))

    def _write_endpoints(self, ports: Mapping[tuple[str, str], int | None]) -> bool:
        """Whether anything changed."""
        written = [
            _write(config.endpoints_file(self.folder, slot, protocol), config.endpoint_resource(slot, protocol, port))
            for (slot, protocol), port in ports.items()
        ]
        return any(written)

    def _write_routes(self, routes: Routes | None, slots: Slots) -> str:
        revision, resource = config.route_resource(routes, slots, self.timeout_s)
        _write(config.routes_file(self.folder), resource)
        return revision

    def _refusal(self, revision: str) -> str:
        """Why Envoy refused this table; it logs such a table, and the reason below it. "" where it did not."""
        _, seen, after = self.log.read_text(errors="replace").rpartition(revision)
        reasons = [line[2:] for line in after.splitlines() if line.startswith(": ")]
        return reasons[0][-400:] if seen and reasons else ""

    def _await(self, gateway: Gateway, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _IN_FORCE_S
        while time.monotonic() < deadline:
            try:
                if done():
                    return
            except OSError as error:
                if not gateway.process.alive:
                    raise ServerError(f"the gateway died: {error}", where=gateway.url, hint=_AGAIN) from error
            time.sleep(_POLL_S)
        raise ServerError(
            f"the gateway does not take {what} within {_IN_FORCE_S:g} s", where=gateway.url, hint=f"See {self.log}"
        )


def start_gateway(
    environment: ServingEnvironment, files: GatewayFiles, ports: tuple[int, int] | None, timeout_s: float
) -> Gateway:
    """Starts Envoy on the files as they lie there; `ports` (listener, admin) of an earlier start are kept, so that
    robots find it again. Raises `Busy` where somebody took such a port, `ServerError` where Envoy refuses or ends.
    """
    port, admin_port = ports or free_ports(2)
    for taken in filter(port_in_use, (port, admin_port)):
        raise Busy(f"port {taken} is in use", where="127.0.0.1", hint="Stop who listens there, then try again")
    write_json(files.bootstrap, config.bootstrap(files.folder, port, admin_port))
    files.log.unlink(missing_ok=True)
    argv = [str(environment.envoy), "-c", str(files.bootstrap)]
    # One worker carries thousands of requests a second.
    argv += ["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    gateway = Gateway(spawn(argv, env=environment.variables(), log=files.log), port, admin_port)
    deadline = time.monotonic() + timeout_s
    while not gateway.ready:
        ended = not gateway.process.alive
        if ended or time.monotonic() > deadline:
            gateway.stop()
            what = "ended at once" if ended else f"was not ready within {timeout_s:g} s"
            raise ServerError(f"the gateway {what}:\n{tail(files.log, 5)}", where=str(files.log))
        time.sleep(_POLL_S)
    return gateway


def sweep_gateway(files: GatewayFiles) -> None:
    """Stops gateways of this folder that a killed controller started and could not note down."""
    for process in find_running(str(files.bootstrap)):
        process.stop(_STOP_S)


def _write(path: Path, resource: dict[str, Any]) -> bool:
    """Whether the file changed. Its version is a digest of its content, so an equal version is an equal file.

    Renamed in, but not forced to the disk, which would be most of the time that a change of routes takes: what must
    survive a power cut is the state that these files are made from, and a start makes them anew.
    """
    if path.is_file() and f'"{resource["version_info"]}"' in path.read_text():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(resource))
    partial.replace(path)
    return True


def _ports(slots: Slots) -> dict[tuple[str, str], int | None]:
    ports: dict[tuple[str, str], int | None] = {}
    for slot in SLOTS:
        address = slots.get(slot)
        ports[slot, "grpc"] = address.grpc_port if address else None
        ports[slot, "http"] = address.http_port if address else None
    return ports


def _known_ports(gateway: Gateway) -> dict[tuple[str, str], int | None]:
    return {(slot, protocol): admin.endpoint(gateway.admin_port, slot, protocol) for slot, protocol in _ports({})}
