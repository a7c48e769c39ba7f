"""What a check replaces: its own earlier results, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.checks.check import REPORT, check_dataset
from components.core.errors import DatasetError, UsageError
from components.core.files import tree_manifest
from components.core.params import Checks
from components.core.records import Record, write_record

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
