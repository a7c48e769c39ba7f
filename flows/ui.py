"""The places to look, served together on loopback: MLflow, Prefect, and the reports of the workspace."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import webbrowser
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from components.core.children import die_with_parent
from components.core.errors import Busy
from components.core.files import write_text
from components.core.workspace import Workspace
from flows.prefect_server import PrefectServer, free_port, running
from flows.training_look import mlflow_page

log = logging.getLogger("gripline")


_SHOWN = (
    "/reports/",
    "/data/check_docs/",
    "/data/checks/",
    "/data/evaluation/",
    "/.gripline/rollouts/",
    "/data/train/curves.png",
    "/data/train/looks/",
)


class _Pages(SimpleHTTPRequestHandler):
    """Serves the reports and nothing else of the workspace."""

    def send_head(self):  # type: ignore[no-untyped-def]
        if not self.path.startswith(_SHOWN) or "/.." in self.path:
            self.send_error(404)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def serve_ui(workspace: Workspace, *, port: int = 0, open_browser: bool = False) -> None:
    """Serves until interrupted. `port` is the page's; MLflow and Prefect take the two after it, or free ones for 0."""
    ports = [port + index for index in range(3)] if port else [free_port() for _ in range(3)]
    adopted = running(workspace)
    prefect = None if adopted else PrefectServer(workspace, ports[2])
    mlflow = _mlflow(workspace, ports[1])
    try:
        if prefect is not None:
            prefect.start()
        links = {
            "MLflow: model versions, aliases, metrics": f"http://127.0.0.1:{ports[1]}",
            "Prefect: flow runs": (adopted or f"http://127.0.0.1:{ports[2]}/api").removesuffix("/api"),
        }
        if training := mlflow_page(workspace, f"http://127.0.0.1:{ports[1]}"):
            links["MLflow: the last training"] = training
        page = _page_server(workspace, ports[0], links)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{ports[0]}/reports/ui.html"
        log.info("%s\n(Ctrl-C ends it)", url)
        if open_browser:
            webbrowser.open(url)
        _wait_for_signal(mlflow)
        log.info("ending")
    finally:
        _end_group(mlflow)
        if prefect is not None:
            prefect.stop()


def _wait_for_signal(server: subprocess.Popen[bytes]) -> None:
    """Until SIGINT or SIGTERM, or until the server ends by itself."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(0.3) and server.poll() is None:
        pass


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """MLflow's server starts workers of its own; they are all in the session that it was started in."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _mlflow(workspace: Workspace, port: int) -> subprocess.Popen[bytes]:
    from model_registry.registry import Registry

    Registry(workspace, "").ensure_store()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", workspace.mlflow_uri, "--default-artifact-root", workspace.mlflow_artifacts.as_uri(),
    ]  # fmt: skip
    folder = workspace.state / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("ab") as stream:
        return subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "DO_NOT_TRACK": "1"},
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )


def _page_server(workspace: Workspace, port: int, links: dict[str, str]) -> ThreadingHTTPServer:
    """Serves the workspace's reports and Data Docs; the page links them and the two servers."""
    from flows.summary import links_page

    write_text(workspace.reports / "ui.html", links_page(workspace, links))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Pages, directory=str(workspace.root)))
    except OSError as error:
        raise Busy(f"port {port} is in use", hint="Give another with --port") from error
