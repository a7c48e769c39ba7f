"""Ingest after a deletion: the recording still lies there, and the episode stays away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from components.core.errors import InputError
from components.dataset.deleted import DELETED, read_deleted
from components.dataset.edits.delete import delete
from components.dataset.reader import Dataset
from components.ingest.report import IngestReport

Run = Callable[..., IngestReport]


@pytest.fixture
def gone(run: Run, raw: Path, tmp_path: Path) -> str:
    """The id of an episode that was deleted from the dataset `out`."""
    run(raw, tmp_path / "out")
    name = Dataset.open(tmp_path / "out").episode_id(2)
    delete(tmp_path / "out", [name], reason="consent withdrawn")
    return name


def held(root: Path) -> set[str]:
    dataset = Dataset.open(root)
    dataset.verify()
    return set(dataset.table(["episode_id"])["episode_id"].to_pylist())


def codes(root: Path, name: str) -> list[str]:
    sources = Dataset.open(root).sources
    return sources[sources["episode_id"] == name]["code"].tolist()


def test_running_again_changes_nothing(run: Run, raw: Path, tmp_path: Path, gone: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = run(raw, tmp_path / "out")
    assert (again.episodes_in, again.episodes_out, again.added, again.quarantined) == (4, 4, 0, ())
    assert (again.deleted, again.as_dict()["deleted"]) == (1, 1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert codes(tmp_path / "out", gone) == [DELETED]


def test_a_new_file_is_added_without_it(run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, gone: str) -> None:
    recordings.write_mcap(raw / "east/new.mcap", recordings.make_demo(9, steps=5, task="open"))
    grown = run(raw, tmp_path / "out")
    assert (grown.episodes_out, grown.added) == (5, 1)
    assert gone not in held(tmp_path / "out")


def test_other_settings_read_it_and_leave_it_out(run: Run, raw: Path, tmp_path: Path, gone: str) -> None:
    before = held(tmp_path / "out")
    done = run(raw, tmp_path / "out", max_misalignment_ms=24.0)
    assert (done.episodes_out, done.added) == (4, 4)
    assert held(tmp_path / "out") == before
    assert codes(tmp_path / "out", gone) == [DELETED]
    assert read_deleted(tmp_path / "out") == {gone: "consent withdrawn"}


def test_a_copy_of_the_recording_is_left_out_too(run: Run, raw: Path, tmp_path: Path, gone: str) -> None:
    shutil.copyfile(raw / "south/a.hdf5", raw / "south/b.hdf5")
    done = run(raw, tmp_path / "out")
    assert (done.episodes_out, {entry.code for entry in done.quarantined}) == (4, {"duplicate_episode"})
    assert gone not in held(tmp_path / "out")
    assert codes(tmp_path / "out", gone) == [DELETED, DELETED]


def test_a_source_that_goes_rebuilds_without_it(run: Run, raw: Path, tmp_path: Path, gone: str) -> None:
    (raw / "north/0.mcap").unlink()
    done = run(raw, tmp_path / "out")
    assert done.episodes_out == 3
    assert gone not in held(tmp_path / "out")
    assert read_deleted(tmp_path / "out") == {gone: "consent withdrawn"}


def test_the_rest_is_split_and_numbered_as_by_a_fresh_run_once_something_comes(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, gone: str
) -> None:
    recordings.write_mcap(raw / "east/new.mcap", recordings.make_demo(9, steps=5, task="open"))
    grown = run(raw, tmp_path / "out")
    demos = [recordings.make_demo(seed, steps=4, task="close", robot_id="cell-2") for seed in range(3, 5)]
    recordings.write_hdf5(raw / "south/a.hdf5", demos)
    assert grown.dataset_digest == run(raw, tmp_path / "fresh").dataset_digest


def test_nothing_but_deleted_episodes_is_nothing(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    for seed in range(2):
        recordings.write_mcap(tmp_path / f"raw/{seed}.mcap", recordings.make_demo(seed, steps=5))
    run(tmp_path / "raw", tmp_path / "out")
    delete(tmp_path / "out", [Dataset.open(tmp_path / "out").episode_id(0)])
    (tmp_path / "raw/1.mcap").unlink()
    with pytest.raises(InputError, match="every episode was deleted"):
        run(tmp_path / "raw", tmp_path / "out")
    assert len(Dataset.open(tmp_path / "out")) == 1
