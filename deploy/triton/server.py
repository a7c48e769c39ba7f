"""One tritonserver process on loopback, with one policy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tritonclient.utils import InferenceServerException

from components.core.errors import ServerError
from components.core.files import sha256_bytes
from deploy.client.wire import MODEL, connect
from deploy.process import ServerProcess, find_running, free_ports, port_in_use, spawn, tail
from deploy.triton.environment import ServingEnvironment, prepare_backends

_SHARED_MEMORY = Path("/dev/shm")
_POLL_S = 0.05
EXIT_TIMEOUT_S = 5
# Between choosing a free port and listening on it somebody else may take it.
_PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class Ports:
    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True)
class TritonServer:
    process: ServerProcess
    ports: Ports

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"

    @property
    def ready(self) -> bool:
        return self.process.alive and is_ready(self.url)

    def stop(self, timeout_s: float = EXIT_TIMEOUT_S + 5.0) -> None:
        """Requests under way are answered first, for at most `EXIT_TIMEOUT_S`."""
        self.process.stop(timeout_s)


def is_ready(url: str, timeout_s: float = 2.0) -> bool:
    """Whether the server at `url` says that it can answer for the policy."""
    with connect(url) as client:
        try:
            return bool(client.is_model_ready(MODEL, client_timeout=timeout_s))
        except InferenceServerException:
            return False


def start_server(environment: ServingEnvironment, folder: Path, backends: Path, timeout_s: float) -> TritonServer:
    """Starts tritonserver for `folder`/repository and waits until it is ready; its log is `folder`/triton.log.

    Raises `ServerError` with the reason from the log where the policy does not load or time runs out.
    """
    backends = prepare_backends(environment, backends)
    log = folder / "triton.log"
    deadline = time.monotonic() + timeout_s
    for _ in range(_PORT_ATTEMPTS):
        server = _launch(environment, repository_folder(folder), backends, log)
        if _wait_ready(server, deadline):
            return server
        taken = not server.process.alive and any(port_in_use(port) for port in vars(server.ports).values())
        server.process.stop(EXIT_TIMEOUT_S)
        sweep_server(folder)
        if not taken:
            break
    raise ServerError(_reason(log, timeout_s), where=str(log), hint="The log says more")


def repository_folder(folder: Path) -> Path:
    return folder / "repository"


def sweep_server(folder: Path) -> None:
    """Stops servers of this folder that nobody noted down, and frees the shared memory that a killed one leaves."""
    for process in find_running(_repository_argument(repository_folder(folder))):
        process.stop(EXIT_TIMEOUT_S)
    for region in _SHARED_MEMORY.glob(f"{_region_prefix(repository_folder(folder))}*"):
        region.unlink(missing_ok=True)


def _region_prefix(repository: Path) -> str:
    return f"gripline_{sha256_bytes(str(repository).encode())[:16]}_"


def _repository_argument(repository: Path) -> str:
    return f"--model-repository={repository}"


def _launch(environment: ServingEnvironment, repository: Path, backends: Path, log: Path) -> TritonServer:
    ports = Ports(*free_ports(3))
    # Loads and unloads are starts and stops: the server itself offers no model control to anybody.
    argv = [
        str(environment.tritonserver),
        _repository_argument(repository),
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={_region_prefix(repository)}",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={ports.grpc}",
        "--http-address=127.0.0.1",
        f"--http-port={ports.http}",
        "--http-thread-count=2",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--allow-gpu-metrics=false",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
    ]
    log.unlink(missing_ok=True)
    return TritonServer(spawn(argv, env=environment.variables(), log=log), ports)


def _wait_ready(server: TritonServer, deadline: float) -> bool:
    with connect(server.url) as client:
        while time.monotonic() < deadline and server.process.alive:
            try:
                if client.is_model_ready(MODEL, client_timeout=1.0):
                    return True
            except InferenceServerException:
                pass
            time.sleep(_POLL_S)
    return False


def _reason(log: Path, timeout_s: float) -> str:
    """Why the policy did not load, in the words of the model where it has any."""
    lines = tail(log, 200).splitlines()
    for line in lines:
        if "failed to load" in line or "Error: " in line:
            return f"the policy did not load: {line.split(']', 1)[-1].strip()}"
    return f"tritonserver was not ready within {timeout_s:g} s:\n" + "\n".join(lines[-5:])
