"""The places to look, served together on loopback: MLflow, Prefect, and the reports of the workspace."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import webbrowser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from components.core.errors import Busy
from components.core.files import write_text
from components.core.workspace import Workspace
from flows.prefect_server import PrefectServer, free_port, running

log = logging.getLogger("gripline")


_SHOWN = ("/reports/", "/data/check_docs/", "/data/checks/", "/data/evaluation/", "/.gripline/rollouts/")


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
        page = _page_server(workspace, ports[0], links)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{ports[0]}/reports/ui.html"
        log.info("%s\n(Ctrl-C ends it)", url)
        if open_browser:
            webbrowser.open(url)
        mlflow.wait()
    except KeyboardInterrupt:
        log.info("ending")
    finally:
        mlflow.terminate()
        if prefect is not None:
            prefect.stop()


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
        return subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, "DO_NOT_TRACK": "1"})


def _page_server(workspace: Workspace, port: int, links: dict[str, str]) -> ThreadingHTTPServer:
    """Serves the workspace's reports and Data Docs; the page links them and the two servers."""
    from flows.summary import links_page

    write_text(workspace.reports / "ui.html", links_page(workspace, links))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Pages, directory=str(workspace.root)))
    except OSError as error:
        raise Busy(f"port {port} is in use", hint="Give another with --port") from error
