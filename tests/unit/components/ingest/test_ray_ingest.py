"""A whole ingest on two local Ray workers gives the bytes that processes give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.files import tree_manifest
from components.ingest.executor import EXECUTOR
from components.ingest.report import IngestReport

pytest.importorskip("ray", reason="needs the extra [ray]")


def test_the_executor_changes_no_byte(
    run: Callable[..., IngestReport], raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw / "north/cut.mcap").write_bytes((raw / "north/0.mcap").read_bytes()[:-300])
    expected = run(raw, tmp_path / "here")
    monkeypatch.setenv(EXECUTOR, "ray")
    assert run(raw, tmp_path / "ray", processes=2) == expected
    assert tree_manifest(tmp_path / "ray") == tree_manifest(tmp_path / "here")

    import ray

    assert not ray.is_initialized()
