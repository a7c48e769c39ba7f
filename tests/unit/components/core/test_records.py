from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import RecordError, UsageError
from components.core.journal import Journal
from components.core.records import Record, read_record, write_record
from components.core.stage import exit_code_of
from components.core.workspace import Workspace, find_workspace


def test_a_record_is_read_back(tmp_path: Path) -> None:
    record = Record("checkpoint", "d" * 64, {"dataset": "e" * 64}, {"steps": 3}, {"episodes": 2.0}, {"note": "x"})
    write_record(tmp_path, record)
    assert read_record(tmp_path, "checkpoint") == record
    with pytest.raises(RecordError, match="kind 'checkpoint', expected 'bundle'"):
        read_record(tmp_path, "bundle")


def test_a_missing_or_foreign_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no record\.json"):
        read_record(tmp_path)
    (tmp_path / "record.json").write_text('{"colour": 1}')
    with pytest.raises(RecordError, match="not a record"):
        read_record(tmp_path)


def test_the_journal_says_who_when_and_where(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write("register", version="3")
    (line,) = journal.read()
    assert line["event"] == "register"
    assert line["version"] == "3"
    assert set(line) >= {"at", "actor", "host", "commit"}
    assert line["at"].endswith("+00:00")


def test_a_workspace_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_workspace(tmp_path / "a" / "b") == Workspace(tmp_path)


def test_outside_a_workspace_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no params\.yaml"):
        find_workspace(tmp_path)


def test_a_full_disk_is_bad_luck_with_a_name(caplog: pytest.LogCaptureFixture) -> None:
    assert exit_code_of(OSError(28, "No space left on device", "data/x")) == 3
    assert "disk_full" in caplog.text
    assert "data/x" in caplog.text


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError, match="division"):
        exit_code_of(ZeroDivisionError("division"))
    assert exit_code_of(RecordError("x")) == 3
