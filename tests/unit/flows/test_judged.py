"""Which verdicts commands find by themselves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from beside import UNIT, helpers

from components.core.records import RECORD_NAME, Record, write_record
from components.dataset.edits.subset import write_subset
from components.dataset.parts import parts_of
from flows.commands.judged import Judged, judged

_DATASET = helpers(UNIT / "dataset" / "conftest.py")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("judged") / "data" / "dataset"
    _DATASET.write_tree(root, [_DATASET.make_episode(seed, length=5) for seed in range(2)])
    return root


@pytest.fixture
def dataset(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset of a workspace that is the current folder."""
    (tmp_path / "params.yaml").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset").symlink_to(written)
    monkeypatch.chdir(tmp_path)
    return Path("data/dataset")


def checked(folder: Path, digest: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "verdicts.parquet").touch()
    write_record(folder, Record(kind="checks", digest="", inputs={"dataset": digest}))
    return folder / "verdicts.parquet"


def found(dataset: Path, given: Path | None = None) -> Judged:
    return judged(dataset, parts_of(dataset), given)


def test_those_that_are_named_rule(dataset: Path) -> None:
    checked(Path("data/checks").absolute(), parts_of(dataset)[0].dataset.digest)
    assert found(dataset, Path("mine.parquet")).path == Path("mine.parquet")


def test_those_of_the_workspace_or_beside_the_dataset_are_found(dataset: Path, tmp_path: Path) -> None:
    digest = parts_of(dataset)[0].dataset.digest
    beside = checked(Path("data/dataset-checks").absolute(), digest)
    assert found(dataset).path == beside
    own = checked(Path("data/checks").absolute(), digest)
    assert found(dataset).path == own
    # Of no other dataset.
    (tmp_path / "copy").symlink_to(dataset.resolve().parent)
    (tmp_path / "params.yaml").unlink()
    assert found(tmp_path / "copy" / "dataset").path is None


def test_those_of_an_earlier_state_are_left_out_and_named(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    checked(Path("data/checks").absolute(), "f" * 64)
    with caplog.at_level(logging.WARNING):
        none = found(dataset)
    assert none.path is None
    assert "data/checks are of digest ffffffffffff, the dataset has changed since" in none.reason
    assert "left out: the verdicts in" in caplog.text
    fitting = checked(Path("data/dataset-checks").absolute(), parts_of(dataset)[0].dataset.digest)
    assert found(dataset) == Judged(fitting)


def test_those_that_do_not_say_of_what_they_are_do_not_count(dataset: Path) -> None:
    path = checked(Path("data/checks").absolute(), "f" * 64)
    (path.parent / RECORD_NAME).unlink()
    assert "do not say of which dataset they are (no record.json)" in found(dataset).reason


def test_without_a_check_the_reason_names_it(dataset: Path, tmp_path: Path) -> None:
    assert found(dataset) == Judged(None, "verdict is not known here: run `gripline check` first")
    write_subset(parts_of(dataset), tmp_path / "some")
    assert found(tmp_path / "some").reason == "verdict is not known here: checks are of single datasets"
