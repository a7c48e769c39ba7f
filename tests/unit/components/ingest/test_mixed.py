"""All four formats in one ingest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from components.dataset.reader import Dataset
from components.formats.mapping import Mapping
from components.ingest.report import IngestReport

Run = Callable[..., IngestReport]

RLDS = Mapping.model_validate(
    {
        "format": ["rlds"],
        "instruction": "language_instruction",
        "constants": {"task": "carrot", "embodiment": "sawyer-cell"},
        "streams": {
            "fixed": {"from": "observation/image_0", "kind": "image"},
            "wrist": {"from": "observation/image_1", "kind": "image"},
            "hand": {"from": "observation/state", "kind": "state"},
            "gripper": {"from": "action", "kind": "state", "select": [6]},
            "joints": {"from": "action", "kind": "state"},
            "action": {"from": "action", "kind": "action", "select": [0, 1, 2, 6]},
        },
    }
)


@pytest.fixture
def mixed(run: Run, recordings: ModuleType, records: ModuleType, tmp_path: Path) -> Path:
    """A file or tree of each format, and an episode of the tree once more as the MCAP that it was made from."""
    raw = tmp_path / "raw"
    recordings.write_hdf5(raw / "a.hdf5", [recordings.make_demo(n, steps=5) for n in range(2)])
    recordings.write_mcap(raw / "b.mcap", recordings.make_demo(2, steps=5))
    recordings.write_mcap(tmp_path / "before/c.mcap", recordings.make_demo(3, steps=5))
    recordings.write_mcap(tmp_path / "before/d.mcap", recordings.make_demo(4, steps=5))
    run(tmp_path / "before", raw / "tree")
    shutil.copy(tmp_path / "before/d.mcap", raw / "d.mcap")
    (raw / "rlds").mkdir()
    payloads = []
    for seed in range(3):
        wrist = [records.picture(seed * 7 + step) for step in range(5)]
        payloads.append(records.example(records.episode(seed, steps__observation__image_1=wrist)))
    (raw / "rlds/set-train.tfrecord-00000-of-00001").write_bytes(b"".join(map(records.framed, payloads)))
    (raw / "rlds/features.json").write_text(json.dumps(records.features()))
    return raw


def test_every_format_comes_through(run: Run, mixed: Path, tmp_path: Path) -> None:
    report = run(mixed, tmp_path / "out", mappings=[RLDS])
    assert [(entry.source, entry.code, entry.detail) for entry in report.quarantined] == [
        ("tree#episode_000001", "duplicate_episode", "the same episode as d.mcap")
    ]
    assert (report.episodes_in, report.episodes_out) == (9, 8)
    dataset = Dataset.open(tmp_path / "out")
    dataset.verify()
    assert set(dataset.sources["format"]) == {"hdf5", "lerobot", "mcap", "rlds"}
    assert dataset.episodes.groupby("task").size().to_dict() == {"carrot": 3, "drawer-open": 5}
    assert dataset.images(7, "wrist").shape[1:] == (96, 96, 3)
    again = run(mixed, tmp_path / "out", mappings=[RLDS])
    assert (again.added, again.as_dict()) == (0, report.as_dict())


def test_a_tree_gives_back_what_went_in(run: Run, mixed: Path, tmp_path: Path) -> None:
    run(mixed / "tree", tmp_path / "out")
    before, after = Dataset.open(mixed / "tree"), Dataset.open(tmp_path / "out")
    assert list(after.episodes["episode_id"]) == list(before.episodes["episode_id"])
    for index in range(2):
        assert np.array_equal(after.frames(index)["action"], before.frames(index)["action"])


def test_a_broken_record_costs_what_it_holds(run: Run, mixed: Path, tmp_path: Path) -> None:
    path = mixed / "rlds/set-train.tfrecord-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    report = run(mixed, tmp_path / "out", mappings=[RLDS])
    (bad, _) = report.quarantined
    assert (bad.source.rpartition("#")[2], bad.code) == ("record-000000", "bad_crc")
    assert report.episodes_out == 7
