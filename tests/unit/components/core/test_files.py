from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from components.core import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    files.write_json(target, {"a": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["report.json"]  # noqa: PTH208


def test_the_same_value_gives_the_same_bytes(tmp_path: Path) -> None:
    files.write_json(tmp_path / "one", {"b": 1, "a": [1.5]})
    files.write_json(tmp_path / "two", {"a": [1.5], "b": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert files.digest_json({"b": 1, "a": 2}) == files.digest_json({"a": 2, "b": 1})


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x", float("nan"))


def test_a_torn_last_line_is_ignored_and_a_torn_middle_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    files.append_line(log, '{"n": 1}')
    files.append_line(log, '{"n": 2}')
    log.write_bytes(log.read_bytes() + b'{"n": 3')
    assert files.read_lines(log) == [{"n": 1}, {"n": 2}]
    log.write_text('{"n": 1\n{"n": 2}\n')
    with pytest.raises(json.JSONDecodeError, match="delimiter"):
        files.read_lines(log)
    assert files.read_lines(tmp_path / "none") == []


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "dataset"
    with files.replace_dir(target) as partial:
        (partial / "a").write_text("1")
    with pytest.raises(NotADirectoryError), files.replace_dir(target) as partial:
        (partial / "b" / "c").parent.touch() or (partial / "b" / "c").touch()
    assert [path.name for path in target.iterdir()] == ["a"]
    with files.replace_dir(target) as partial:
        (partial / "c").write_text("3")
    assert [path.name for path in target.iterdir()] == ["c"]
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".dataset.partial-dead").mkdir()
    with files.replace_dir(tmp_path / "dataset") as partial:
        (partial / "a").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_manifest_names_every_file_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").write_bytes(b"x")
    (tmp_path / "skip").write_bytes(b"y")
    assert files.tree_manifest(tmp_path, skip=("skip",)) == {"sub/x": files.sha256_bytes(b"x")}
