"""A local Prefect server with its database in the workspace: started for a run, or adopted where one answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from components.core.children import die_with_parent
from components.core.errors import ServerError
from components.core.files import read_json, write_json
from components.core.workspace import Workspace

_TIMEOUT_S = 120.0


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(workspace: Workspace) -> dict[str, str]:
    """Environment of every Prefect process of a workspace: its own home, nothing sent out."""
    return {
        "PREFECT_HOME": str(workspace.state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


def running(workspace: Workspace) -> str | None:
    """API URL of the server of this workspace, if it answers."""
    path = workspace.state / "prefect" / "server.json"
    url = str(read_json(path)["url"]) if path.is_file() else ""
    return url if url and healthy(url) else None


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class PrefectServer:
    """One `prefect server` process on loopback."""

    def __init__(self, workspace: Workspace, port: int | None = None) -> None:
        self.workspace = workspace
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and returns at once; `wait` waits until it answers."""
        home = self.workspace.state / "prefect"
        home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {**os.environ, **settings(self.workspace)}
        # A run that is killed takes its server along, so that no orphan keeps a port and a database lock.
        die = partial(die_with_parent, os.getpid())
        with (home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not healthy(self.url):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                log = self.workspace.state / "prefect" / "server.log"
                raise ServerError(f"the Prefect server did not answer at {self.url}", hint=f"Its log is {log}")
            time.sleep(0.2)
        write_json(self.workspace.state / "prefect" / "server.json", {"url": self.url})

    def stop(self) -> None:
        """Ends the process that `start` started, and nothing else."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def prefect_api(workspace: Workspace) -> Iterator[str]:
    """The API of this workspace, exported to the environment for the Prefect client. Import prefect inside the block.

    A PREFECT_API_URL that is set already wins: scheduled runs have their own server.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield os.environ["PREFECT_API_URL"]
        return
    adopted = running(workspace)
    server = None if adopted else PrefectServer(workspace)
    if server is not None:
        server.start()
    url = adopted or (server.url if server else "")
    changes = {**settings(workspace), "PREFECT_API_URL": url}
    before = {key: os.environ.get(key) for key in changes}
    try:
        if server is not None:
            server.wait()
        os.environ.update(changes)
        yield url
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
        if server is not None:
            server.stop()
