"""Measures of a whole dataset, behind real video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks import table as module
from components.checks.own.relate import IDENTITY
from components.checks.table import STREAMS, as_batch, measure_dataset
from components.core.errors import DatasetError
from components.core.params import Checks, Video, load_params
from components.dataset.writer import DatasetWriter

COUNT = 6


@pytest.fixture(scope="module")
def video(project: Path) -> Video:
    return load_params(project / "params.yaml").ingest.video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, episodes: ModuleType, video: Video) -> Path:
    root = tmp_path_factory.mktemp("measured") / "dataset"
    episodes.write_dataset(root, [episodes.good(seed, length=30 + seed) for seed in range(COUNT)], video)
    return root


@pytest.fixture(scope="module")
def measured(dataset: Path, params: Checks) -> pa.Table:
    return measure_dataset(dataset, params)


def by_id(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["episode_id"]: row for row in table.to_pylist()}


def test_a_row_holds_what_the_arrays_give_but_for_what_the_codec_does(measured: pa.Table, episodes: ModuleType) -> None:
    assert measured["episode_index"].to_pylist() == list(range(COUNT))
    found = by_id(measured)
    for seed in range(COUNT):
        sample = episodes.good(seed, length=30 + seed)
        (wanted,) = episodes.measured([sample]).to_pylist()
        row = found[sample.row["episode_id"]]
        for name in ("length", "fingerprint", "motion_sha256", "start", "told_moved", "lag_scores", "path"):
            assert row[name] == wanted[name], name
        for name in ("brightness_fixed", "brightness_wrist"):
            assert row[name] == pytest.approx(wanted[name], abs=3.0)
        assert row["thumbs"] == pytest.approx(wanted["thumbs"], abs=5.0)
        assert row["detail_wrist"] == pytest.approx(wanted["detail_wrist"], rel=0.1)
        assert {name: row[name] for name in ("task", "instruction", "robot_id")} == {
            name: sample.row[name] for name in ("task", "instruction", "robot_id")
        }


def test_streams_lie_beside_their_episode(measured: pa.Table, episodes: ModuleType) -> None:
    found = by_id(measured)
    for seed in range(COUNT):
        sample = episodes.good(seed, length=30 + seed)
        streams = found[sample.row["episode_id"]][STREAMS]
        assert {row["stream"]: row["count"] for row in streams} == {r["stream"]: r["count"] for r in sample.streams}


def test_who_an_episode_is_stands_in_plain_columns(measured: pa.Table) -> None:
    assert set(IDENTITY) | {"pixel_sha256", "licence", "consent_ref", "calibration_digest"} <= set(
        measured.column_names
    )
    assert not any(pa.types.is_dictionary(field.type) for field in measured.schema)
    assert len(set(measured.column_names)) == measured.num_columns


def test_processes_change_nothing(
    dataset: Path, measured: pa.Table, params: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORTH_A_POOL", 1)
    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setenv("GRIPLINE_WORKERS", "2")
    assert measure_dataset(dataset, params).equals(measured)


def test_without_pictures_no_video_is_read(dataset: Path, params: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LumaReader", None)
    found = measure_dataset(dataset, params, pictures=False)
    assert "brightness_fixed" not in found.column_names
    assert found["frozen_share"].to_pylist() == [0.0] * COUNT


def test_an_empty_or_absent_dataset_is_an_error(tmp_path: Path, params: Checks) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        measure_dataset(tmp_path / "nowhere", params)


def test_a_batch_has_one_type_for_each_kind_of_value() -> None:
    one = {"n": 1, "x": 0.5, "t": "a", "v": np.array([1.0, 1e300]), "h": [2**60]}
    batch = as_batch([one, one | {"n": 2.5, "v": np.array([-np.inf, 0.0]), "h": []}])
    assert [str(field.type) for field in batch.schema] == [
        "double", "double", "string", "list<item: float>", "list<item: int64>",
    ]  # fmt: skip
    largest = float(np.finfo(np.float32).max)
    assert batch["v"].to_pylist() == [[1.0, largest], [-largest, 0.0]]
    assert batch["h"].to_pylist() == [[2**60], []]


def test_a_robot_without_cameras_is_measured_too(
    episodes: ModuleType, params: Checks, video: Video, tmp_path: Path
) -> None:
    blind = replace(episodes.CELL, observation=replace(episodes.CELL.observation, cameras=()))
    with DatasetWriter(tmp_path / "blind", blind, episodes.FPS, video) as writer:
        for seed in range(2):
            writer.add_frames(replace(episodes._episode_frames(episodes.good(seed)), images={}))
        writer.close()
    table = measure_dataset(tmp_path / "blind", params)
    assert table["length"].to_pylist() == [40.0, 40.0]
    assert table["frozen_share"].to_pylist() == [0.0, 0.0]
