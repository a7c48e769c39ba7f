"""The benchmark on a dozen small recordings: what is written, what is judged, what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkbench.api import judged
from checkbench.bench import Bench
from checkbench.faults import FAULTS
from checkbench.report import as_json, lines, recall
from checkbench.setting import Setting, Task, ingest_clean, measure_clean

from components.core.episode import Episode
from components.core.files import read_json
from components.core.params import load_params
from components.dataset.columns import stats_as_json
from components.dataset.extract import extract
from components.dataset.prepare import prepare
from components.dataset.reader import Dataset
from components.dataset.video import decode_episode
from components.record.hdf5_writer import hdf5_bytes

TASKS = ("drawer-open", "faucet-open")
PER_TASK = 6


@pytest.fixture(scope="module")
def setting(make_episode: Callable[..., Episode], project: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    root = tmp_path_factory.mktemp("bench")
    (root / "raw").mkdir()
    for task in TASKS:
        episodes = [make_episode(shared_clock=True, task=task, number=number) for number in range(PER_TASK)]
        (root / "raw" / f"{task}.hdf5").write_bytes(hdf5_bytes(episodes))
    return Setting(root / "raw", root, load_params(project / "params.yaml"), seed=5, episodes=4, keep=True)


@pytest.fixture(scope="module")
def bench(setting: Setting) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIPLINE_WORKERS", "1")
        ingest_clean(setting)
        measure_clean(setting)
    return Bench(setting)


def test_what_is_faulty_is_found_and_the_truth_lies_beside_the_dataset(bench: Bench, setting: Setting) -> None:
    result = bench.run(Task("nan", 2))
    assert len(result.found) == setting.episodes
    assert recall(result) == 1.0
    assert all(one.quarantined and not one.refused for one in result.found)
    truth = read_json(setting.folder / "nan-strong.json")
    written = Dataset.open(setting.folder / "nan-strong")
    assert {entry["episode_id"] for entry in truth} == set(written.episodes["episode_id"])
    assert {entry["of"] for entry in truth} == {one.source for one in result.found}
    assert not [path for path in written.root.rglob("*") if path.name == "nan-strong.json"]


def test_what_ingest_refuses_counts_by_the_code_of_the_refusal(bench: Bench, setting: Setting) -> None:
    every = Bench(replace(setting, episodes=len(TASKS) * PER_TASK))
    found = every.run(Task("missing_stream", 2)).found
    refused = [one for one in found if one.refused]
    assert all(one.codes == ("missing_stream",) and one.quarantined for one in refused)
    assert 0 < len(refused) < len(found)


def test_a_video_that_nothing_changed_is_not_encoded_again(bench: Bench, setting: Setting) -> None:
    clean = bench.episode(3)
    faulty = FAULTS["state_jump"](clean, 1, np.random.default_rng(0), [])
    quick, frames = bench._prepared(faulty, clean, 3), bench._frames(faulty)
    slow = prepare(frames, setting.fps, setting.params.ingest.video, image_px=setting.body.observation.image_px)
    assert quick.videos == extract(bench.clean, 3).videos
    assert (quick.pixel_sha256, quick.frames_sha256) == (slow.pixel_sha256, slow.frames_sha256)
    for camera, video in slow.videos.items():
        assert np.array_equal(decode_episode(quick.videos[camera]), decode_episode(video))
    assert stats_as_json(quick.stats) == stats_as_json(slow.stats)


def test_a_leaked_copy_is_on_the_other_side(bench: Bench, setting: Setting) -> None:
    bench.run(Task("split_leak", 0))
    sides = dict(zip(bench.uris, (fact.split for fact in bench.facts), strict=True))
    for row in Dataset.open(setting.folder / "split_leak-weak").episodes.to_dict("records"):
        assert row["split"] != sides[row["source_uri"].removeprefix("copies/")]


def test_a_task_is_flagged_as_a_whole(bench: Bench) -> None:
    result = bench.run(Task("instruction_mismatch_rate", 2))
    assert {one.source for one in result.found} <= set(TASKS)


def test_the_report_has_a_row_a_code(bench: Bench, setting: Setting) -> None:
    results = [bench.run(Task("missing_language", strength)) for strength in range(3)]
    clean = judged(bench.table, setting.body, setting.fps, setting.params.checks)
    said = list(lines(results, clean))
    assert sum(line.startswith("| `") for line in said) == 1
    assert said[2].endswith("| 4/4/4 |")
    whole = as_json(results, clean, {"judge": 1.0})
    assert [entry["strength"] for entry in whole["faults"]] == [0, 1, 2]
    assert whole["faults"][2]["recall"] == 1.0
    assert whole["clean"]["episodes"] == len(TASKS) * PER_TASK
