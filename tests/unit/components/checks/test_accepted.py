"""Which version a dataset is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.checks.accepted import baseline, baseline_by, remember, versions
from components.core.errors import RecordError
from components.core.files import write_json


def profile(digest: str, episodes: int = 1) -> dict[str, Any]:
    return {"dataset": digest, "episodes": episodes, "columns": {}}


def test_a_version_is_compared_with_the_one_accepted_before_it_however_often_it_is_judged(tmp_path: Path) -> None:
    assert baseline(tmp_path, "a") is None
    for digest in ("a", "b", "b", "a", "c"):
        remember(tmp_path, profile(digest))
    assert versions(tmp_path) == ["a", "b", "c"]
    found = {digest: baseline(tmp_path, digest) for digest in "abcd"}
    assert found == {"a": None, "b": profile("a"), "c": profile("b"), "d": profile("c")}


def test_what_was_accepted_last_of_a_version_is_its_profile(tmp_path: Path) -> None:
    remember(tmp_path, profile("a", 1))
    remember(tmp_path, profile("a", 2))
    assert baseline(tmp_path, "b") == profile("a", 2)


def test_a_line_that_a_killed_writer_left_counts_for_nothing(tmp_path: Path) -> None:
    remember(tmp_path, profile("a"))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"dataset": "b')
    assert baseline(tmp_path, "z") == profile("a")


def test_a_profile_that_is_gone_is_an_error_and_not_no_drift(tmp_path: Path) -> None:
    remember(tmp_path, profile("a"))
    (tmp_path / "a.json").unlink()
    with pytest.raises(RecordError, match=r"a\.json: is no profile"):
        baseline(tmp_path, "b")


def test_a_chosen_one_comes_before_the_log_and_without_either_there_is_none(tmp_path: Path) -> None:
    remember(tmp_path / "log", profile("a"))
    write_json(tmp_path / "profile.json", profile("mine"))
    assert baseline_by(tmp_path / "log", tmp_path)("z") == profile("mine")
    assert baseline_by(tmp_path / "log")("z") == profile("a")
    assert baseline_by(None)("z") is None
    with pytest.raises(RecordError, match="is no profile"):
        baseline_by(None, tmp_path / "nowhere")
