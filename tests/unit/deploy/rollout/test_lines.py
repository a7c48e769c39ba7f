"""JSON lines: what a killed writer leaves is dropped, what is damaged otherwise is an error."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import RecordError
from deploy.rollout import lines


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    for number in range(5):
        lines.append(path, {"number": number}, sync=number == 4)
    assert [line["number"] for line in lines.read(path)] == [0, 1, 2, 3, 4]
    assert lines.read(tmp_path / "absent.jsonl") == []


@given(cut=st.integers(1, 29), text=st.text(max_size=20))
def test_a_torn_last_line_is_ignored_and_then_replaced(
    tmp_path_factory: pytest.TempPathFactory, cut: int, text: str
) -> None:
    path = tmp_path_factory.mktemp("torn") / "log.jsonl"
    lines.append(path, {"whole": text})
    whole = path.read_bytes()
    lines.append(path, {"lost": "x" * 20})
    path.write_bytes(path.read_bytes()[:-cut])
    assert lines.read(path) == [{"whole": text}]
    lines.append(path, {"next": 1})
    assert lines.read(path) == [{"whole": text}, {"next": 1}]
    assert path.read_bytes().startswith(whole)


def test_a_file_that_is_one_torn_line_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * 200_000)
    assert lines.read(path) == []
    lines.append(path, {"b": 1})
    assert lines.read(path) == [{"b": 1}]


def test_damage_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b": \n{"c": 3}\n')
    with pytest.raises(RecordError, match="line 2 is damaged"):
        lines.read(path)


def _write_many(path: Path, who: int) -> None:
    for number in range(50):
        lines.append(path, {"who": who, "number": number}, sync=False)


def test_writers_in_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = lines.read(path)
    assert len(found) == 150
    assert all([line["number"] for line in found if line["who"] == who] == list(range(50)) for who in range(3))
