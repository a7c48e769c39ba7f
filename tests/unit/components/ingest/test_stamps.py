"""An edit between two runs of ingest costs the second one nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from components.dataset.commit import COMMITTED
from components.dataset.deleted import read_deleted
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
from components.dataset.layout import OWN_RECORD
from components.dataset.reader import Dataset
from components.ingest.report import IngestReport
from components.ingest.stamps import built_by, carried, remember

Run = Callable[..., IngestReport]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def out(run: Run, raw: Path, tmp_path: Path, cache: Path) -> Path:
    """A dataset that lost its second episode after it was built."""
    root = tmp_path / "out"
    run(raw, root, cache=cache)
    with carried(cache, root):
        delete(root, [Dataset.open(root).episode_id(1)])
    return root


def inodes(root: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_nothing_new_touches_nothing_and_gaps_stay(run: Run, raw: Path, out: Path, cache: Path) -> None:
    before = inodes(out)
    again = run(raw, out, cache=cache)
    assert (again.episodes_out, again.added, again.deleted) == (4, 0, 1)
    assert inodes(out) == before
    assert Dataset.open(out).indices.tolist() == [0, 2, 3, 4]


def test_one_more_recording_costs_a_file(run: Run, recordings: ModuleType, raw: Path, out: Path, cache: Path) -> None:
    gone = read_deleted(out).keys()
    assert len(gone) == 1
    before = inodes(out)
    recordings.write_mcap(raw / "east/new.mcap", recordings.make_demo(9, steps=5, task="open"))
    grown = run(raw, out, cache=cache)
    assert (grown.episodes_out, grown.added) == (5, 1)
    dataset = Dataset.open(out)
    assert dataset.indices.tolist() == [0, 2, 3, 4, 5]
    assert gone.isdisjoint(dataset.episodes["episode_id"])
    frames = {name for name in before if name.startswith(("data/", "videos/"))}
    assert {name: inodes(out)[name] for name in frames} == {name: before[name] for name in frames}
    dataset.verify()


def test_renumbering_is_carried_over_too(run: Run, raw: Path, out: Path, cache: Path) -> None:
    with carried(cache, out):
        renumber(out)
    before = inodes(out)
    assert run(raw, out, cache=cache).added == 0
    assert inodes(out) == before
    assert Dataset.open(out).indices.tolist() == [0, 1, 2, 3]


def test_what_nobody_remembers_is_not_made_up(out: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for folder in (other, None):
        with carried(folder, out):
            renumber(out)
    assert not other.exists()
    assert built_by(cache, out) is None
    with carried(cache, tmp_path / "nothing"):
        pass
    assert not (tmp_path / "nothing").exists()


def test_an_edit_that_fails_carries_nothing(out: Path, cache: Path) -> None:
    def fail() -> None:
        with carried(cache, out):
            renumber(out)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert built_by(cache, out) is None


def test_a_commit_that_was_killed_on_its_way_is_what_counts(out: Path, cache: Path) -> None:
    remember(cache, out, "code")
    committed = out / COMMITTED / OWN_RECORD
    committed.parent.mkdir(parents=True)
    committed.write_text("another record")
    assert built_by(cache, out) is None
