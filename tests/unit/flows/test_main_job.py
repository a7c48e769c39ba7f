from __future__ import annotations

from pathlib import Path

import pytest

from components.core.workspace import Workspace
from flows import main_job as module
from flows.main_job import main_job
from flows.pipeline import STAGES


@pytest.mark.parametrize(("rollout", "released"), [(True, []), (False, None)])
def test_nothing_to_do_is_said_stage_by_stage_and_asked_once(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rollout: bool, released: list | None
) -> None:
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    asked: list[Workspace] = []
    monkeypatch.setattr(module, "_stale", lambda workspace: asked.append(workspace) or [])
    monkeypatch.setattr("flows.release.settled", lambda *_: released)
    summary = main_job(Workspace(tmp_path), rollout=rollout)
    assert summary["stages"] == dict.fromkeys(STAGES, "unchanged")
    assert len(asked) == 1
    assert (tmp_path / "reports" / "index.html").is_file()
