"""The contact sheet: who is shown, and that red means set aside."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.checks.contact_sheet import MOST_QUARANTINED, PER_TASK, RED, choose, write_contact_sheet
from components.checks.verdicts import Verdicts
from components.core.params import load_params
from components.dataset.reader import Dataset


def verdicts(table: pd.DataFrame, bad: dict[int, str]) -> Verdicts:
    """`bad`: episode_index -> code."""
    ids = dict(zip(table["episode_index"], table["episode_id"], strict=True))
    evidence: dict[str, list[dict[str, Any]]] = {
        ids[index]: [{"code": code, "severity": "error"}] for index, code in bad.items()
    }
    return Verdicts(table, evidence, [])


def test_every_task_is_shown_evenly_and_every_episode_that_was_set_aside(good_table: pd.DataFrame) -> None:
    accepted, quarantined, left_out = choose(verdicts(good_table, {3: "nan", 4: "idle"}))
    assert len(accepted) == 2 * PER_TASK
    assert not {3, 4} & {strip.episode_index for strip in accepted}
    assert [strip.episode_index for strip in accepted if strip.title.startswith("handle-pull")] == [1, 21, 39]
    assert [(strip.episode_index, strip.reason) for strip in quarantined] == [(3, "nan"), (4, "idle")]
    assert left_out == 0


def test_a_sheet_holds_so_many_and_counts_the_rest(good_table: pd.DataFrame) -> None:
    accepted, quarantined, left_out = choose(verdicts(good_table, dict.fromkeys(range(40), "nan")))
    assert (len(accepted), len(quarantined), left_out) == (0, MOST_QUARANTINED, 40 - MOST_QUARANTINED)


def test_a_task_with_fewer_episodes_shows_each_once(good_table: pd.DataFrame) -> None:
    accepted, _, _ = choose(verdicts(good_table.iloc[:3], {}))
    assert sorted(strip.episode_index for strip in accepted) == [0, 1, 2]


@pytest.fixture(scope="module")
def dataset(episodes: ModuleType, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("sheet") / "dataset"
    episodes.write_dataset(
        root, [episodes.good(n) for n in range(4)], load_params(project / "params.yaml").ingest.video
    )
    return Dataset.open(root)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def red_pixels(path: Path) -> int:
    return int((pixels(path) == RED).all(axis=-1).sum())


def test_red_frames_appear_with_what_was_set_aside(dataset: Dataset, tmp_path: Path) -> None:
    fine, two = tmp_path / "fine.png", tmp_path / "two.png"
    write_contact_sheet(fine, dataset, verdicts(dataset.episodes, {}))
    write_contact_sheet(two, dataset, verdicts(dataset.episodes, {0: "nan", 2: "frozen_camera, dropped_frames"}))
    assert red_pixels(fine) == 0
    assert red_pixels(two) > 2 * 3 * 2 * (4 * 96)


def test_a_reason_that_is_too_long_is_cut(dataset: Dataset, tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "long.png", dataset, verdicts(dataset.episodes, {0: "frozen_camera " * 40}))
    sheet = pixels(tmp_path / "long.png")
    # Red ink stays left of the second strip: the first one is 4 thumbnails wide.
    ink = ((sheet[..., 0] - sheet[..., 1] > 80) & (sheet[..., 0] > 150)).any(axis=0)
    assert ink.any()
    assert not ink[8 + 4 * 96 + 2 * 3 + 1 :].any()


def test_the_same_sheet_has_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        write_contact_sheet(tmp_path / name, dataset, verdicts(dataset.episodes, {1: "nan"}))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
