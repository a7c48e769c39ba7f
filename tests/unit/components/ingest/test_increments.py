"""Runs on top of a dataset: each reads what is new alone, and gives what a fresh build would give."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from components.core.errors import InputError, UsageError
from components.core.files import tree_manifest
from components.dataset.reader import Dataset
from components.formats.mapping import built_in_mappings, fitting_mapping
from components.ingest import build, settings, work
from components.ingest.report import IngestReport

Run = Callable[..., IngestReport]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the episodes that are read from their files."""
    names: list[str] = []
    healthy = work.read_part

    def counted(recording, part):  # type: ignore[no-untyped-def]
        names.append(recording.uri_of(part))
        return healthy(recording, part)

    monkeypatch.setattr(work, "read_part", counted)
    return names


def same(one: IngestReport, other: IngestReport) -> bool:
    return one.as_dict() == other.as_dict()


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_nothing_new_writes_nothing(run: Run, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    (raw / "north/broken.mcap").touch()
    first = run(raw, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    reads.clear()
    again = run(raw, tmp_path / "out")
    assert same(first, again)
    assert (again.added, reads) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_new_file_costs_a_file(run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    run(raw, tmp_path / "out")
    old = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/videos").rglob("*.mp4")}
    reads.clear()
    recordings.write_mcap(raw / "east/new.mcap", recordings.make_demo(9, steps=5, task="open"))
    grown = run(raw, tmp_path / "out")
    assert (grown.episodes_out, grown.added, reads) == (6, 1, ["east/new.mcap"])
    assert {path: path.stat().st_mtime_ns for path in old} == old
    assert same(grown, run(raw, tmp_path / "fresh"))
    Dataset.open(tmp_path / "out").verify()
    assert hidden(tmp_path) == []
    # What it was told about the sources is the same, in the same order.
    assert Dataset.open(tmp_path / "out").sources.equals(Dataset.open(tmp_path / "fresh").sources)


def test_a_new_demo_in_a_known_file_is_another_file(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path
) -> None:
    run(raw, tmp_path / "out")
    demos = [recordings.make_demo(seed, steps=4, task="close", robot_id="cell-2") for seed in range(2, 6)]
    recordings.write_hdf5(raw / "south/a.hdf5", demos)
    grown = run(raw, tmp_path / "out")
    assert grown.episodes_out == 6
    assert same(grown, run(raw, tmp_path / "fresh"))


def test_a_file_that_is_gone_takes_its_episodes_along(run: Run, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    run(raw, tmp_path / "out")
    before = set(Dataset.open(tmp_path / "out").episodes["episode_id"])
    (raw / "north/0.mcap").unlink()
    reads.clear()
    shrunk = run(raw, tmp_path / "out")
    assert (shrunk.episodes_out, shrunk.added, reads) == (4, 0, [])
    dataset = Dataset.open(tmp_path / "out")
    dataset.verify()
    assert set(dataset.episodes["episode_id"]) < before
    assert same(shrunk, run(raw, tmp_path / "fresh"))
    assert hidden(tmp_path) == []


def test_pictures_survive_a_rebuild(run: Run, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    before = Dataset.open(tmp_path / "out").images(4, "wrist")
    (raw / "north/0.mcap").unlink()
    run(raw, tmp_path / "out")
    assert np.array_equal(Dataset.open(tmp_path / "out").images(3, "wrist"), before)


def test_old_and_new_at_once(run: Run, recordings: ModuleType, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    (raw / "north/1.mcap").unlink()
    recordings.write_mcap(raw / "north/2.mcap", recordings.make_demo(9, steps=5, task="open"))
    changed = run(raw, tmp_path / "out")
    assert (changed.episodes_out, changed.added) == (5, 1)
    assert same(changed, run(raw, tmp_path / "fresh"))


def test_when_every_file_is_another_the_old_dataset_stays_until_the_new_one_is_whole(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(raw, tmp_path / "out")
    shutil.rmtree(raw)
    for seed in range(20, 22):
        recordings.write_mcap(raw / f"{seed}.mcap", recordings.make_demo(seed, steps=5))
    seen = []
    healthy = build.Build.commit
    monkeypatch.setattr(
        build.Build,
        "commit",
        lambda self, **how: (seen.append(Dataset.open(tmp_path / "out").digest), healthy(self, **how))[-1],
    )
    second = run(raw, tmp_path / "out")
    assert (second.episodes_out, second.added) == (2, 2)
    assert set(seen) == {first.dataset_digest}
    assert Dataset.open(tmp_path / "out").digest == second.dataset_digest
    assert hidden(tmp_path) == []


def test_a_double_takes_over_when_the_first_is_gone(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    demo = recordings.make_demo(2, steps=4, task="close", robot_id="cell-2")
    for name in ("x", "y"):
        recordings.write_mcap(raw / f"south/{name}.mcap", demo)
    run(raw, tmp_path / "out")
    (raw / "south/a.hdf5").unlink()
    reads.clear()
    report = run(raw, tmp_path / "out")
    assert sorted(reads) == ["south/x.mcap", "south/y.mcap"]
    assert [(entry.source, entry.detail) for entry in report.quarantined] == [
        ("south/y.mcap", "the same episode as south/x.mcap")
    ]
    assert same(report, run(raw, tmp_path / "fresh"))


def test_a_double_that_comes_first_takes_the_place_of_the_one_that_is_there(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    """MCAP holds JPEG, so its pixels differ from those of HDF5 though the episode is the same."""
    run(raw, tmp_path / "out")
    demo = recordings.make_demo(3, steps=4, task="close", robot_id="cell-2")
    for name in ("a", "b"):
        recordings.write_mcap(raw / f"early/{name}.mcap", demo)
    recordings.write_mcap(raw / "early/c.mcap", recordings.make_demo(7, steps=4))
    reads.clear()
    report = run(raw, tmp_path / "out")
    assert reads == ["early/a.mcap", "early/b.mcap", "early/c.mcap"]
    assert [(entry.source, entry.detail) for entry in report.quarantined] == [
        ("early/b.mcap", "the same episode as early/a.mcap"),
        ("south/a.hdf5#demo_1", "the same episode as early/a.mcap"),
    ]
    assert (report.episodes_out, report.added) == (6, 1)
    fresh = run(raw, tmp_path / "fresh")
    assert same(report, fresh)
    assert Dataset.open(tmp_path / "out").sources.equals(Dataset.open(tmp_path / "fresh").sources)
    reads.clear()
    assert same(run(raw, tmp_path / "out"), fresh)
    assert reads == []
    assert hidden(tmp_path) == []


def test_what_was_set_aside_stays_there_unread(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    recordings.write_mcap(raw / "north/blind.mcap", recordings.make_demo(9, steps=4).without("wrist"))
    first = run(raw, tmp_path / "out")
    reads.clear()
    recordings.write_mcap(raw / "north/new.mcap", recordings.make_demo(8, steps=4))
    second = run(raw, tmp_path / "out")
    assert reads == ["north/new.mcap"]
    assert second.quarantined == first.quarantined
    # Mended, it is another file.
    recordings.write_mcap(raw / "north/blind.mcap", recordings.make_demo(9, steps=4))
    third = run(raw, tmp_path / "out")
    assert (third.episodes_out, third.quarantined) == (7, ())


def test_a_stranger_that_comes_and_goes_is_written_down(run: Run, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    (raw / "thesis.doc").write_text("hello")
    assert [entry.code for entry in run(raw, tmp_path / "out").quarantined] == ["unknown_format"]
    assert "unknown_format" in (tmp_path / "out" / build.OWN_QUARANTINE).read_text()
    (raw / "thesis.doc").unlink()
    assert run(raw, tmp_path / "out").quarantined == ()
    assert (tmp_path / "out" / build.OWN_QUARANTINE).read_text() == ""


def test_another_split_reads_nothing(run: Run, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    run(raw, tmp_path / "out")
    reads.clear()
    report = run(raw, tmp_path / "out", val_share=0.0)
    assert reads == []
    assert set(Dataset.open(tmp_path / "out").episodes["split"]) == {"train"}
    assert same(report, run(raw, tmp_path / "fresh", val_share=0.0))


@pytest.mark.parametrize("change", [{"fps": 10}, {"max_misalignment_ms": 20.0}, {"causal_actions": True}, "code"])
def test_other_settings_are_a_fresh_build(
    run: Run,
    raw: Path,
    tmp_path: Path,
    reads: list[str],
    change: dict[str, float] | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(raw, tmp_path / "out")
    reads.clear()
    if isinstance(change, str):
        monkeypatch.setattr(settings, "code_digest", lambda: "another")
        change = {}
    report = run(raw, tmp_path / "out", **change)
    assert (report.added, len(reads)) == (5, 5)
    fresh = run(raw, tmp_path / "fresh", **change)
    assert same(report, fresh)
    assert tree_manifest(tmp_path / "out") == tree_manifest(tmp_path / "fresh")
    assert hidden(tmp_path) == []


def test_a_mapping_concerns_the_sources_that_it_speaks_for(
    run: Run, raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    run(raw, tmp_path / "out")
    reads.clear()
    (built_in,) = (mapping for mapping in built_in_mappings() if mapping.name == "sawyer-cell-mcap")
    said = built_in.model_copy(update={"match": "north/1*", "constants": {"licence": "ours"}})
    report = run(raw, tmp_path / "out", mappings=[said])
    assert reads == ["north/1.mcap"]
    assert same(report, run(raw, tmp_path / "fresh", mappings=[said]))


def test_a_cut_list_concerns_the_sources_that_it_names(run: Run, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    run(raw, tmp_path / "out")
    reads.clear()
    cuts = tmp_path / "cuts.csv"
    cuts.write_text("source,start_s,end_s\nnorth/0.mcap,0,0.12\n")
    report = run(raw, tmp_path / "out", cuts=cuts)
    assert reads == ["north/0.mcap#0.000-0.120s"]
    assert report.frames < 22
    assert same(report, run(raw, tmp_path / "fresh", cuts=cuts))
    reads.clear()
    assert same(run(raw, tmp_path / "out", cuts=cuts), report)
    assert reads == []


def test_a_damaged_dataset_is_built_afresh(run: Run, raw: Path, tmp_path: Path, reads: list[str]) -> None:
    first = run(raw, tmp_path / "out")
    (tmp_path / "out/meta/gripline/episodes.parquet").unlink()
    reads.clear()
    assert run(raw, tmp_path / "out") == first
    assert len(reads) == 5
    Dataset.open(tmp_path / "out").verify()


def test_when_all_is_gone_or_bad_the_dataset_stays(run: Run, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    before = tree_manifest(tmp_path / "out")
    shutil.rmtree(raw)
    raw.mkdir()
    (raw / "a.mcap").touch()
    with pytest.raises(InputError, match="no usable episode"):
        run(raw, tmp_path / "out")
    assert tree_manifest(tmp_path / "out") == before
    assert hidden(tmp_path) == []


def test_commits_come_at_sixteen_and_then_double(
    run: Run, recordings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demos = [recordings.make_demo(0, steps=2).with_metadata(robot_id=f"cell-{n}") for n in range(40)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos[:30])
    recordings.write_hdf5(tmp_path / "raw/b.hdf5", demos[30:])
    counts = []
    healthy = build.Build.commit

    def counted(self: build.Build, **how: bool) -> None:
        healthy(self, **how)
        counts.append(len(Dataset.open(tmp_path / "out")))

    monkeypatch.setattr(build.Build, "commit", counted)
    assert run(tmp_path / "raw", tmp_path / "out").episodes_out == 40
    assert counts == [16, 32, 40]


def test_the_order_in_which_files_came_does_not_matter(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    """Files come one by one in another order than that of their names, with doubles among them."""
    demos = {name: recordings.make_demo(ord(name) % 3, steps=4) for name in "ecafbd"}
    for name, demo in demos.items():
        if name in "ace":
            recordings.write_mcap(tmp_path / f"raw/{name}.mcap", demo)
        else:
            recordings.write_hdf5(tmp_path / f"raw/{name}.hdf5", [demo])
        report = run(tmp_path / "raw", tmp_path / "out")
        assert same(report, run(tmp_path / "raw", tmp_path / f"fresh-{name}"))
    assert (report.episodes_out, len(report.quarantined)) == (3, 3)


def test_a_copy_of_a_known_file_is_read_and_found_to_be_a_double(run: Run, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    shutil.copy(raw / "north/0.mcap", raw / "north/00.mcap")
    os.utime(raw / "north/00.mcap", ns=(1, 1))
    report = run(raw, tmp_path / "out")
    assert [entry.detail for entry in report.quarantined] == ["the same episode as north/0.mcap"]
    assert same(report, run(raw, tmp_path / "fresh"))


def test_with_a_cache_other_code_reads_again_and_gives_the_same_tree(
    run: Run, raw: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later stage is not run again for a change of the code that changed no episode."""
    cache = tmp_path / "cache"
    run(raw, tmp_path / "out", cache=cache)
    before = tree_manifest(tmp_path / "out")
    run(raw, tmp_path / "out", cache=cache)
    assert len(reads) == 5
    monkeypatch.setattr(settings, "code_digest", lambda: "another")
    run(raw, tmp_path / "out", cache=cache)
    assert len(reads) == 10
    assert tree_manifest(tmp_path / "out") == before
    run(raw, tmp_path / "out", cache=cache)
    assert len(reads) == 10
    run(raw, tmp_path / "out", cache=tmp_path / "nobody remembers")
    assert len(reads) == 15


def test_a_dataset_of_one_cache_grows(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path, reads: list[str]
) -> None:
    cache = tmp_path / "cache"
    run(raw, tmp_path / "out", cache=cache)
    recordings.write_mcap(raw / "later.mcap", recordings.make_demo(50, steps=5))
    report = run(raw, tmp_path / "out", cache=cache)
    assert (report.added, len(reads)) == (1, 6)
    assert same(report, run(raw, tmp_path / "fresh", cache=cache))
    (raw / "later.mcap").unlink()
    report = run(raw, tmp_path / "out", cache=cache)
    assert (report.added, len(reads)) == (0, 12)
    assert run(raw, tmp_path / "out", cache=cache) == report


def test_a_cut_list_for_a_source_that_is_not_there_is_refused(run: Run, raw: Path, tmp_path: Path) -> None:
    listed = tmp_path / "cuts.csv"
    listed.write_text("source,start_s,end_s\nother.mcap,0,1\n")
    with pytest.raises(UsageError, match=r"the cut list names other\.mcap, which is not there\. There are .*mcap"):
        run(raw, tmp_path / "out", cuts=listed)


def test_a_mapping_that_names_what_is_not_there_is_named(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "raw/a.mcap", recordings.make_demo(1, steps=5))
    good = fitting_mapping(recordings.TOPIC_OF.values(), "mcap")
    streams = {**good.streams, "hand": good.streams["hand"].model_copy(update={"source": "/hand_pos"})}
    wrong = good.model_copy(update={"name": "mine", "streams": streams})
    said = "no stream 'hand'.*mapping 'mine' takes hand from '/hand_pos', which is not in the file.*--write-map"
    with pytest.raises(InputError, match=said):
        run(path.parent, tmp_path / "out", mappings=[wrong])


def test_sources_may_be_a_pattern(run: Run, raw: Path, tmp_path: Path) -> None:
    assert run(Path(f"{raw}/*"), tmp_path / "out").episodes_out == run(raw, tmp_path / "all").episodes_out
    with pytest.raises(InputError, match="absent"):
        run(Path(f"{raw}/absent*"), tmp_path / "none")
