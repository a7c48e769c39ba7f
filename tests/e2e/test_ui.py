"""`gripline ui` serves its pages, and ends with all it started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.e2e]


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_for(url: str) -> int:
    deadline = time.monotonic() + 120
    while status(url) == 0 and time.monotonic() < deadline:
        time.sleep(0.3)
    return status(url)


def test_pages_are_served_and_an_interrupt_ends_everything(tmp_path: Path, project: Path) -> None:
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    (tmp_path / "secret").write_text("not for the page")
    command = [sys.executable, "-c", "from flows.cli import main; main()", "ui"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        page = process.stderr.readline().strip()
        assert wait_for(page) == 200
        links = [part.split("'")[0] for part in urllib.request.urlopen(page).read().decode().split("href='")[1:]]
        assert [wait_for(link) for link in links if link.startswith("http")] == [200, 200]
        assert status(page.replace("/reports/ui.html", "/secret")) == 404
        assert status(page.replace("/reports/ui.html", "/reports/../secret")) == 404
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert children
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
