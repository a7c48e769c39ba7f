from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.core.errors import ServerError
from components.core.files import write_json
from components.core.workspace import Workspace
from flows.prefect_server import PrefectServer, prefect_api, running


def test_a_server_that_does_not_answer_is_not_adopted(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert running(workspace) is None
    write_json(workspace.state / "prefect" / "server.json", {"url": "http://127.0.0.1:9/api"})
    assert running(workspace) is None


def test_a_server_that_ends_at_once_is_an_error_that_names_its_log(tmp_path: Path, monkeypatch) -> None:
    server = PrefectServer(Workspace(tmp_path))
    monkeypatch.setattr("flows.prefect_server.sys.executable", "/bin/false")
    server.start()
    with pytest.raises(ServerError, match=r"did not answer at http://127\.0\.0\.1:\d+/api\. Its log is .*server\.log"):
        server.wait()


def test_a_server_of_somebody_else_is_used_as_it_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with prefect_api(Workspace(tmp_path)) as url:
        assert url == "http://127.0.0.1:1/api"
    assert "PREFECT_HOME" not in os.environ
    assert not (tmp_path / ".gripline").exists()
