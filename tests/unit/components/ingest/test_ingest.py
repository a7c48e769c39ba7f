"""A fresh build: what goes in, what comes out, and what is set aside. `test_increments` is about the runs after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path
from signal import SIGSEGV, raise_signal
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.core.errors import InputError, ParamsError, UsageError
from components.core.files import tree_manifest
from components.core.params import Ingest, Video
from components.core.records import read_record
from components.core.spec import SAWYER_CELL
from components.dataset.reader import Dataset
from components.formats.mapping import built_in_mappings
from components.formats.source import Found
from components.ingest.ingest import ingest
from components.ingest.pool import Workers
from components.ingest.report import IngestReport, Quarantined
from components.ingest.sources import Source
from components.ingest.work import Opened, Worker, part_of

Run = Callable[..., IngestReport]


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "meta/gripline/episodes.parquet").to_pylist()
    return found


def quarantine(out: Path) -> list[tuple[str, str]]:
    lines = (out / "meta/gripline/quarantine.jsonl").read_text().splitlines()
    return [(entry["source"], entry["code"]) for entry in map(json.loads, lines)]


def test_a_mixed_folder_becomes_a_dataset(run: Run, raw: Path, tmp_path: Path) -> None:
    report = run(raw, tmp_path / "out", split_seed=2)
    assert (report.episodes_in, report.episodes_out, report.added, report.quarantined) == (5, 5, 5, ())
    assert report.frames == 5 + 5 + 3 * 4
    episodes = rows(tmp_path / "out")
    assert [row["source_uri"] for row in episodes] == [
        "north/0.mcap",
        "north/1.mcap",
        *(f"south/a.hdf5#demo_{n}" for n in range(3)),
    ]
    assert {(row["task"], row["split"]) for row in episodes} == {
        (task, split) for task in ("open", "close") for split in ("train", "val")
    }
    dataset = Dataset.open(tmp_path / "out")
    dataset.verify()
    assert list(dataset.sources["part"]) == ["", "", "demo_0", "demo_1", "demo_2"]
    assert list(dataset.sources["episode_id"]) == [row["episode_id"] for row in episodes]
    record = read_record(tmp_path / "out/meta/gripline", "dataset")
    assert (record.digest, record.counts["episodes_in"]) == (report.dataset_digest, 5)
    assert quarantine(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


def test_the_report_has_the_keys_that_others_read(run: Run, raw: Path, tmp_path: Path) -> None:
    (raw / "north/empty.mcap").touch()
    report = run(raw, tmp_path / "out").as_dict()
    assert report == {
        "episodes_in": 6,
        "episodes_out": 5,
        "frames": 22,
        "deleted": 0,
        "quarantined": [{"source": "north/empty.mcap", "code": "empty", "detail": "the file is empty"}],
        "dataset_digest": report["dataset_digest"],
    }


def test_another_size_of_the_pictures_holds_out_the_same_episodes(
    run: Run, raw: Path, tmp_path: Path, params: Ingest
) -> None:
    looks = SAWYER_CELL.observation
    body = replace(SAWYER_CELL, observation=replace(looks, image_px=looks.image_px // 2))
    for seed in range(1, 5):
        changed = params.model_copy(update={"split_seed": seed})
        ingest([raw], tmp_path / f"small{seed}", changed, body, processes=0)
        run(raw, tmp_path / f"large{seed}", split_seed=seed)
        small, large = (
            Dataset.open(tmp_path / f"{size}{seed}").table(["episode_id", "split", "pixel_sha256"]).to_pydict()
            for size in ("small", "large")
        )
        assert set(small["pixel_sha256"]).isdisjoint(large["pixel_sha256"])
        assert (small["episode_id"], small["split"]) == (large["episode_id"], large["split"])


def test_the_same_files_give_the_same_bytes_with_any_number_of_processes(run: Run, raw: Path, tmp_path: Path) -> None:
    reports = [run(raw, tmp_path / str(processes), processes) for processes in (0, 1, 2)]
    reports.append(run(raw, tmp_path / "again"))
    assert reports == reports[:1] * 4
    trees = [tree_manifest(tmp_path / name) for name in ("0", "1", "2", "again")]
    assert trees == trees[:1] * 4


def test_where_the_folder_lies_does_not_matter(run: Run, raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "one")
    raw.rename(tmp_path / "elsewhere")
    run(tmp_path / "elsewhere", tmp_path / "two")
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")


def test_the_same_episode_in_two_containers_is_taken_once(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path
) -> None:
    demo = recordings.make_demo(2, steps=4, task="close", robot_id="cell-2")
    recordings.write_mcap(raw / "south/copy.mcap", demo)
    report = run(raw, tmp_path / "out")
    (entry,) = report.quarantined
    assert (entry.source, entry.code) == ("south/copy.mcap", "duplicate_episode")
    assert entry.detail == "the same episode as south/a.hdf5#demo_0"
    assert (report.episodes_in, report.episodes_out) == (6, 5)


def test_bad_files_and_episodes_are_named_and_stop_no_other(
    run: Run, recordings: ModuleType, raw: Path, tmp_path: Path
) -> None:
    whole = (raw / "north/0.mcap").read_bytes()
    (raw / "north/cut.mcap").write_bytes(whole[: len(whole) // 2])
    (raw / "north/pointer.mcap").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (raw / "north/thesis.doc").write_text("hello")
    recordings.write_mcap(raw / "north/blind.mcap", recordings.make_demo(9, steps=4).without("wrist"))
    with h5py.File(raw / "south/a.hdf5", "r+") as file:
        del file["data/demo_1/actions"]
        file["data/demo_2"].attrs["task"] = file["data/demo_2"].attrs["instruction"] = ""
    report = run(raw, tmp_path / "out")
    found = {entry.source: entry.code for entry in report.quarantined}
    assert {name: found[name] for name in found if "cut.mcap" not in name} == {
        "north/blind.mcap": "missing_stream",
        "north/pointer.mcap": "lfs_pointer",
        "north/thesis.doc": "unknown_format",
        "south/a.hdf5#demo_1": found["south/a.hdf5#demo_1"],
        "south/a.hdf5#demo_2": "missing_task",
    }
    assert [entry.source for entry in report.quarantined] == sorted(found)
    assert quarantine(tmp_path / "out") == list(found.items())
    assert (report.episodes_in, report.episodes_out) == (3 + len(found), 3)
    assert report == replace(run(raw, tmp_path / "out"), added=3)


def test_a_reader_that_dies_costs_its_file_alone(
    run: Run, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = Workers.map

    def deadly(self: Workers, work: Any, items: Any, lost: Any) -> Any:
        """Some of the items bring their process down, as a damaged file does."""
        given = list(items)
        fatal = ("north/1.mcap", "south/a.hdf5#demo_1")
        jobs = [partial(raise_signal, SIGSEGV) if item.uri in fatal else partial(work, item) for item in given]
        return healthy(self, call, jobs, lambda job, reason: lost(given[jobs.index(job)], reason))

    monkeypatch.setattr(Workers, "map", deadly)
    report = run(raw, tmp_path / "out", processes=1)
    said = "the library that reads this format crashed on it"
    assert report.quarantined == (
        Quarantined("north/1.mcap", "reader_crashed", said),
        Quarantined("south/a.hdf5#demo_1", "reader_crashed", said),
    )
    assert report.episodes_out == 3


def test_what_the_checks_judge_is_not_refused(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4)
    hand = demo.values["hand"].copy()
    hand[1] = np.nan
    demos = [replace(demo.with_values(hand=hand), instruction=""), recordings.make_demo(1, steps=4)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    report = run(tmp_path / "raw", tmp_path / "out")
    assert report.quarantined == ()
    assert {row["instruction"] for row in rows(tmp_path / "out")} == {"", "pull the drawer open"}
    assert Dataset.open(tmp_path / "out").streams["nan_count"].sum() == 3


def test_episodes_with_the_same_pixels_stay_on_one_side(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    base = recordings.make_demo(steps=4)
    # The same film told as ten tasks: another instruction gives another id, not other pixels.
    demos = [replace(base, instruction=f"do {n}").with_metadata(task=f"task-{n}") for n in range(10)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    assert run(tmp_path / "raw", tmp_path / "out", val_share=0.5).episodes_out == 10
    episodes = rows(tmp_path / "out")
    assert len({row["pixel_sha256"] for row in episodes}) == 1
    assert len({row["split"] for row in episodes}) == 1


def test_robots_can_be_held_out_as_a_whole(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(n, steps=3, robot_id=f"cell-{n % 4}") for n in range(12)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    run(tmp_path / "raw", tmp_path / "out", val_share=0.5, split_by=("robot_id",))
    episodes = rows(tmp_path / "out")
    assert len({(row["robot_id"], row["split"]) for row in episodes}) == 4
    assert {row["split"] for row in episodes} == {"train", "val"}


def test_scenes_can_be_held_out_as_a_whole(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(n, steps=3).with_metadata(scene=f"kitchen-{n % 3}") for n in range(12)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    run(tmp_path / "raw", tmp_path / "out", val_share=0.4, split_by=("scene",))
    assert len({(row["scene"], row["split"]) for row in rows(tmp_path / "out")}) == 3


def test_episodes_that_name_no_robot_are_split_one_by_one(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(n, steps=3, robot_id="", site="") for n in range(12)]
    recordings.write_hdf5(tmp_path / "raw/a.hdf5", demos)
    run(tmp_path / "raw", tmp_path / "out", val_share=0.5, split_by=("robot_id", "site"))
    assert {row["split"] for row in rows(tmp_path / "out")} == {"train", "val"}


@pytest.mark.parametrize("kept", [True, False])
def test_where_nothing_is_usable_nothing_is_written(run: Run, raw: Path, tmp_path: Path, kept: bool) -> None:
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
    assert list((tmp_path / "out").iterdir()) == ([out] if kept else [])


@pytest.mark.parametrize("make", [True, False], ids=["empty", "absent"])
def test_a_folder_without_recordings_is_an_input_error(run: Run, tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/.gitignore").write_text("*")
    with pytest.raises(InputError, match=r"no recording|no such file or folder"):
        run(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", [".", "raw", "raw/dataset"])
def test_a_dataset_is_never_written_into_its_source(run: Run, raw: Path, tmp_path: Path, out: str) -> None:
    with pytest.raises(UsageError, match="the dataset would lie inside"):
        run(raw, tmp_path / out)
    assert len(list(raw.rglob("*.mcap"))) == 2


def test_a_folder_that_is_no_dataset_is_not_replaced(run: Run, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    run(raw, tmp_path / "thesis")
    (tmp_path / "thesis/meta/info.json").unlink()
    with pytest.raises(UsageError, match="is there already and is no dataset"):
        run(raw, tmp_path / "thesis")
    assert (tmp_path / "thesis/data").exists()


def test_settings_that_no_encoder_can_do_are_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="codec is 'mpeg2'"):
        run(tmp_path / "absent", tmp_path / "out", video=Video(codec="mpeg2", crf=1, gop=1, pix_fmt="yuv420p"))


def test_a_file_that_changes_while_it_is_read_is_set_aside(
    recordings: ModuleType, params: Ingest, tmp_path: Path
) -> None:
    path = recordings.write_mcap(tmp_path / "raw/a.mcap", recordings.make_demo(0, steps=4))
    worker = Worker(params, SAWYER_CELL)
    opened = worker.open(Source(Found(path, "a.mcap", "mcap"), "0" * 64, "0" * 64))
    assert isinstance(opened, Opened)
    assert isinstance(worker.prepare(part_of(opened, "")), bytes)
    recordings.write_mcap(path, recordings.make_demo(1, steps=4))
    assert worker.prepare(part_of(opened, "")) == Quarantined("a.mcap", "changed", "the file changed while it was read")


def test_without_a_rate_the_dataset_takes_that_of_the_embodiment(raw: Path, tmp_path: Path, params: Ingest) -> None:
    own = ingest([raw], tmp_path / "own", params.model_copy(update={"fps": None}), SAWYER_CELL, processes=0)
    assert Dataset.open(tmp_path / "own").fps == 20
    assert own == ingest([raw], tmp_path / "said", params, SAWYER_CELL, processes=0)


def test_a_recording_without_a_clock_ticks_as_its_robot_does(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "raw/a.hdf5", [recordings.make_demo(0, steps=9)])
    with h5py.File(path, "r+") as file:
        del file["data/demo_0/time"]
    (built_in,) = (mapping for mapping in built_in_mappings() if mapping.name == "sawyer-cell-hdf5")
    clockless = built_in.model_copy(update={"time": ""})
    # Nine samples of a robot of 20 Hz.
    for fps, frames in ((20, 9), (10, 5)):
        assert run(tmp_path / "raw", tmp_path / "out", fps=fps, mappings=[clockless]).frames == frames
        times = Dataset.open(tmp_path / "out").frames(0)["observation.time"]
        assert np.allclose(times, np.arange(frames) / fps)


def test_a_mapping_of_the_team_rules(run: Run, recordings: ModuleType, tmp_path: Path) -> None:
    demo = replace(recordings.make_demo(0, steps=4, task="", site=""), instruction="")
    recordings.write_mcap(tmp_path / "raw/a.mcap", demo)
    with pytest.raises(InputError, match="1 missing_task"):
        run(tmp_path / "raw", tmp_path / "out")
    (built_in,) = (mapping for mapping in built_in_mappings() if mapping.name == "sawyer-cell-mcap")
    said = built_in.model_copy(update={"constants": {"task": "said", "site": "hall"}})
    run(tmp_path / "raw", tmp_path / "out", mappings=[said])
    (row,) = rows(tmp_path / "out")
    assert (row["task"], row["site"]) == ("said", "hall")
