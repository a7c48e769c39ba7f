"""What a check replaces: its own earlier results, and nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from components.checks.accepted import BaselineOf, versions
from components.checks.check import REPORT, check_dataset, run
from components.checks.profile import PROFILE
from components.core.errors import DatasetError, GateRefused, UsageError
from components.core.files import tree_manifest, write_json
from components.core.params import Checks, load_params
from components.core.records import Record, write_record
from components.core.workspace import Workspace

DOCS_PAGE = "<title>Data Docs created by Great Expectations</title>"


def check(tmp_path: Path, params: Checks) -> None:
    """There is no dataset: whatever is refused before that is refused before any work."""
    check_dataset(tmp_path / "nowhere", tmp_path / "out", tmp_path / "out-docs", params)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out/thesis.tex", "out: holds something that no check wrote.*--out"),
        ("out/checks.json", "out: holds something that no check wrote"),
        ("out-docs/index.html", "out-docs: holds something that no check wrote"),
        ("out", "out: is there already and is no folder"),
        ("out-docs", "out-docs: is there already and is no folder"),
    ],
)
def test_what_no_check_wrote_is_left_alone(tmp_path: Path, params: Checks, name: str, said: str) -> None:
    put(tmp_path / name, "years of work")
    before = tree_manifest(tmp_path)
    with pytest.raises(UsageError, match=said):
        check(tmp_path, params)
    assert tree_manifest(tmp_path) == before


@pytest.mark.parametrize("name", ["out/notes.txt", "out/sub/y", "out-docs/mine.txt"])
def test_what_somebody_put_beside_an_earlier_check_is_left_alone(tmp_path: Path, params: Checks, name: str) -> None:
    put(tmp_path / "out" / REPORT, "{}")
    write_record(tmp_path / "out", Record(kind="checks", digest="0" * 64))
    put(tmp_path / "out-docs/index.html", DOCS_PAGE)
    put(tmp_path / name, "years of work")
    before = tree_manifest(tmp_path)
    with pytest.raises(UsageError, match="holds something that no check wrote"):
        check(tmp_path, params)
    assert tree_manifest(tmp_path) == before


def test_the_record_of_another_stage_is_none_of_a_check(tmp_path: Path, params: Checks) -> None:
    put(tmp_path / "out" / REPORT, "{}")
    write_record(tmp_path / "out", Record(kind="dataset", digest="0" * 64))
    with pytest.raises(UsageError, match="no check wrote"):
        check(tmp_path, params)


def test_a_link_to_nowhere_is_no_folder(tmp_path: Path, params: Checks) -> None:
    (tmp_path / "out").symlink_to("gone")
    with pytest.raises(UsageError, match="is no folder"):
        check(tmp_path, params)


@pytest.mark.parametrize("earlier", [False, True])
def test_empty_folders_and_an_earlier_check_may_be_replaced(tmp_path: Path, params: Checks, earlier: bool) -> None:
    for name in ("out", "out-docs"):
        (tmp_path / name).mkdir()
    if earlier:
        put(tmp_path / "out" / REPORT, "{}")
        write_record(tmp_path / "out", Record(kind="checks", digest="0" * 64))
        put(tmp_path / "out-docs/index.html", DOCS_PAGE)
    with pytest.raises(DatasetError, match="nowhere"):
        check(tmp_path, params)


@pytest.mark.parametrize("passes", [True, False])
def test_only_a_dataset_that_passes_is_what_the_next_is_compared_with(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    limit = {"name": "min_scenes", "value": 1.0, "limit": 2.0, "passed": passes, "severity": "error"}
    report = {"failed": [], "episodes": 4, "dataset_digest": "d" * 64, "passed": passes, "limits": [limit]}
    compared: list[Any] = []

    def judged(
        _: Path, target: Path, __: Path, ___: Checks, baseline_of: BaselineOf, *, remembered: Path
    ) -> dict[str, Any]:
        assert remembered.is_relative_to(tmp_path / ".gripline")
        compared.append(baseline_of("e" * 64))
        write_json(target / PROFILE, {"dataset": "d" * 64, "columns": {}})
        return report

    monkeypatch.setattr("components.checks.check.check_dataset", judged)
    workspace, params = Workspace(tmp_path), load_params(project / "params.yaml")
    for _ in range(2):
        with nullcontext() if passes else pytest.raises(GateRefused, match="min_scenes is 1, the limit is 2"):
            run(workspace, params)
    assert versions(workspace.accepted) == (["d" * 64] if passes else [])
    assert compared == [None, {"dataset": "d" * 64, "columns": {}} if passes else None]
