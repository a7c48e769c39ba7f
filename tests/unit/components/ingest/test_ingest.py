from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.core.errors import InputError, UsageError
from components.core.files import tree_manifest
from components.core.params import Ingest
from components.core.records import read_record
from components.core.spec import SAWYER_CELL
from components.ingest.ingest import IngestReport, find_sources, ingest
from components.ingest.work import Part, Surveyed, Worker

PARAMS = Ingest.model_validate(
    {
        "embodiment": "sawyer-cell",
        "fps": 20,
        "video": {"codec": "h264", "crf": 30, "gop": 2, "pix_fmt": "yuv420p"},
        "max_misalignment_ms": 25.0,
        "val_share": 0.3,
        "split_seed": 1,
    }
)


@pytest.fixture
def raw(recordings: ModuleType, tmp_path: Path) -> Path:
    """Two MCAP files and an HDF5 file of three demos: five episodes of two tasks."""
    folder = tmp_path / "raw"
    rates = {"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10}
    for seed in range(2):
        demo = recordings.make_demo(seed, steps=5, rates_hz=rates, task="open")
        recordings.write_mcap(folder / f"north/{seed}.mcap", demo)
    demos = [recordings.make_demo(seed, steps=4, task="close", robot_id="cell-2") for seed in range(2, 5)]
    recordings.write_hdf5(folder / "south/a.hdf5", demos)
    return folder


def run(raw: Path, out: Path, processes: int = 0, **params: Any) -> IngestReport:
    return ingest([raw], out, PARAMS.model_copy(update=params), SAWYER_CELL, processes=processes)


def rows(out: Path, name: str = "episodes") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / f"meta/gripline/{name}.parquet").to_pylist()
    return found


def quarantine(out: Path) -> list[tuple[str, str]]:
    lines = (out / "meta/gripline/quarantine.jsonl").read_text().splitlines()
    return [(entry["source"], entry["code"]) for entry in map(json.loads, lines)]


def test_a_mixed_folder_becomes_a_dataset(raw: Path, tmp_path: Path) -> None:
    report = run(raw, tmp_path / "out")
    assert (report.episodes_in, report.episodes_out, report.quarantined) == (5, 5, ())
    assert report.frames == 5 + 5 + 3 * 4
    episodes = rows(tmp_path / "out")
    assert [row["episode_id"] for row in episodes] == sorted(row["episode_id"] for row in episodes)
    assert {row["source_uri"] for row in episodes} == {
        "north/0.mcap",
        "north/1.mcap",
        *(f"south/a.hdf5#demo_{n}" for n in range(3)),
    }
    assert {(row["task"], row["split"]) for row in episodes} == {
        (task, split) for task in ("open", "close") for split in ("train", "val")
    }
    streams = rows(tmp_path / "out", "streams")
    assert len(streams) == 5 * 7
    record = read_record(tmp_path / "out/meta/gripline", "dataset")
    assert (record.digest, record.counts["episodes_in"]) == (report.dataset_digest, 5)
    assert quarantine(tmp_path / "out") == []


def test_the_same_files_give_the_same_bytes_with_any_number_of_processes(raw: Path, tmp_path: Path) -> None:
    reports = [run(raw, tmp_path / str(processes), processes) for processes in (0, 1, 2)]
    reports.append(run(raw, tmp_path / "again"))
    assert reports == reports[:1] * 4
    trees = [tree_manifest(tmp_path / name) for name in ("0", "1", "2", "again")]
    assert trees == trees[:1] * 4


def test_where_the_folder_lies_does_not_matter(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "one")
    raw.rename(tmp_path / "elsewhere")
    run(tmp_path / "elsewhere", tmp_path / "two")
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")


def test_the_same_episode_in_two_containers_is_taken_once(recordings: ModuleType, raw: Path, tmp_path: Path) -> None:
    demo = recordings.make_demo(2, steps=4, task="close", robot_id="cell-2")
    recordings.write_mcap(raw / "south/copy.mcap", demo)
    report = run(raw, tmp_path / "out")
    (entry,) = report.quarantined
    assert (entry.source, entry.code) == ("south/copy.mcap", "duplicate_episode")
    assert entry.detail == "the same episode as south/a.hdf5#demo_0"
    assert (report.episodes_in, report.episodes_out) == (6, 5)


def test_bad_files_and_episodes_are_named_and_stop_no_other(recordings: ModuleType, raw: Path, tmp_path: Path) -> None:
    whole = (raw / "north/0.mcap").read_bytes()
    (raw / "north/cut.mcap").write_bytes(whole[: len(whole) // 2])
    (raw / "north/pointer.mcap").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (raw / "north/readme.txt").write_text("hello")
    recordings.write_mcap(raw / "north/blind.mcap", recordings.make_demo(9, steps=4).without("wrist"))
    with h5py.File(raw / "south/a.hdf5", "r+") as file:
        del file["data/demo_1/time"]
        file["data/demo_2"].attrs["task"] = ""
    report = run(raw, tmp_path / "out")
    expected = [
        ("north/blind.mcap", "missing_stream"),
        ("north/cut.mcap", "truncated"),
        ("north/pointer.mcap", "lfs_pointer"),
        ("north/readme.txt", "unknown_format"),
        ("south/a.hdf5#demo_1", "missing_stream"),
        ("south/a.hdf5#demo_2", "missing_task"),
    ]
    assert quarantine(tmp_path / "out") == expected
    assert [(entry.source, entry.code) for entry in report.quarantined] == expected
    assert report.quarantined[0].detail.startswith("no stream 'wrist'")
    assert (report.episodes_in, report.episodes_out) == (9, 3)


def test_what_the_checks_judge_is_not_refused(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    hand = demo.values["hand"].copy()
    hand[1] = np.nan
    demos = [replace(demo.with_values(hand=hand), instruction=""), recordings.make_demo(1, steps=4)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    report = run(tmp_path / "raw", tmp_path / "out")
    assert report.quarantined == ()
    assert {row["instruction"] for row in rows(tmp_path / "out")} == {"", "pull the drawer open"}
    assert sum(row["nan_count"] for row in rows(tmp_path / "out", "streams")) == 3


def test_episodes_with_the_same_pixels_stay_on_one_side(recordings: ModuleType, tmp_path: Path) -> None:
    base = recordings.make_demo(steps=4)
    # The same film told as ten tasks: another instruction gives another id, not other pixels.
    demos = [replace(base, instruction=f"do {n}").with_metadata(task=f"task-{n}") for n in range(10)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    assert run(tmp_path / "raw", tmp_path / "out", val_share=0.5).episodes_out == 10
    episodes = rows(tmp_path / "out")
    assert len({row["pixel_sha256"] for row in episodes}) == 1
    assert len({row["split"] for row in episodes}) == 1


def test_robots_can_be_held_out_as_a_whole(recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(n, steps=3, robot_id=f"cell-{n % 4}") for n in range(12)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    run(tmp_path / "raw", tmp_path / "out", val_share=0.5, split_by=("robot_id",))
    episodes = rows(tmp_path / "out")
    assert len({(row["robot_id"], row["split"]) for row in episodes}) == 4
    assert {row["split"] for row in episodes} == {"train", "val"}


@pytest.mark.parametrize("kept", [True, False])
def test_where_nothing_is_usable_nothing_is_written(raw: Path, tmp_path: Path, kept: bool) -> None:
    out = tmp_path / "out/dataset"
    if kept:
        run(raw, out)
    before = tree_manifest(tmp_path / "out") if kept else {}
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.mcap").write_bytes(b"\x89MCAP0\r\n")
    (bad / "b.mcap").write_bytes(b"")
    with pytest.raises(InputError, match=r"no usable episode \(1 empty, 1 truncated\); the first: a\.mcap") as caught:
        run(bad, out)
    assert caught.value.exit_code == 3
    assert out.exists() == kept
    assert (tree_manifest(tmp_path / "out") if kept else {}) == before


@pytest.mark.parametrize("make", [True, False], ids=["empty", "absent"])
def test_a_folder_without_recordings_is_an_input_error(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/.gitignore").write_text("*")
    with pytest.raises(InputError, match=r"no recording|no such file or folder"):
        run(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_sources_are_told_apart_by_their_names(raw: Path, tmp_path: Path) -> None:
    sources = [raw / "south", raw / "north", raw / "north/0.mcap"]
    found = find_sources(sources, tmp_path / "out")
    assert [source.uri for source in found] == ["0.mcap", "north/0.mcap", "north/1.mcap", "south/a.hdf5"]
    with pytest.raises(UsageError, match=r"would both be called 'north/0\.mcap'"):
        find_sources([raw / "north", raw / "north"], tmp_path / "out")


@pytest.mark.parametrize("out", [".", "raw", "raw/dataset"])
def test_a_dataset_is_never_written_into_its_source(raw: Path, tmp_path: Path, out: str) -> None:
    with pytest.raises(UsageError, match="the dataset would lie inside"):
        run(raw, tmp_path / out)
    assert len(list(raw.rglob("*.mcap"))) == 2


def test_a_folder_that_is_no_dataset_is_not_replaced(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    run(raw, tmp_path / "thesis")
    (tmp_path / "thesis/meta/info.json").unlink()
    with pytest.raises(UsageError, match="is there already and is no dataset"):
        run(raw, tmp_path / "thesis")
    assert (tmp_path / "thesis/data").exists()


def test_a_file_that_changes_meanwhile_is_noticed(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "raw/a.mcap", recordings.make_demo(0, steps=4))
    worker = Worker(PARAMS, SAWYER_CELL)
    (source,) = find_sources([tmp_path / "raw"], tmp_path / "out")
    recording = worker.open(source)
    surveyed = worker.survey(Part(recording, ""))  # type: ignore[arg-type]
    assert isinstance(surveyed, Surveyed)
    assert worker.finish((surveyed, "val"))[0].row["split"] == "val"
    recordings.write_mcap(path, recordings.make_demo(1, steps=4))
    with pytest.raises(InputError, match=r"a\.mcap: the file changed while it was ingested"):
        worker.finish((surveyed, "val"))
