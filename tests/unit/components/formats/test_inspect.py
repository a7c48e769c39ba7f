from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.errors import InputError
from components.formats.inspect import inspect_path
from components.formats.registry import recording_files


def stream(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [entry for entry in report["streams"] if entry["name"] == name]
    return dict(found)


def test_an_mcap_file_is_summed_up(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=21, rates_hz={"fixed": 30, "hand": 100})
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert (report["format"], report["dialect"], report["episodes"], report["frames"]) == ("mcap", "ros2", 1, 21)
    assert (report["tasks"], report["problems"]) == (["drawer-open"], [])
    assert stream(report, "fixed") == {
        "name": "fixed",
        "kind": "image",
        "shape": [96, 96, 3],
        "dtype": "jpeg/png",
        "rate_hz": 30.0,
        "count": 31,
    }
    assert stream(report, "hand")["rate_hz"] == 100.0
    json.dumps(report, allow_nan=False)


def test_a_folder_adds_its_files_up(recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(seed, steps=5, task=f"task-{seed}") for seed in range(2)]
    recordings.write_hdf5(tmp_path / "south/a.hdf5", demos)
    recordings.write_mcap(tmp_path / "north/b.mcap", demos[0].without("wrist"))
    (tmp_path / "north/note.txt").write_text("hello")
    (tmp_path / "north/metadata.yaml").write_text("rosbag2: {}")
    (tmp_path / ".hidden").write_text("x")
    report = inspect_path(tmp_path)
    assert (report["format"], report["dialect"], report["episodes"]) == ("hdf5+mcap", "robomimic+ros2", 3)
    assert report["frames"] == 15
    assert report["tasks"] == ["task-0", "task-1"]
    assert stream(report, "action")["count"] == 15
    assert [(p["code"], p["where"]) for p in report["problems"]] == [
        ("missing_stream", "north/b.mcap"),
        ("unknown_format", "north/note.txt"),
    ]
    assert [path.name for path in recording_files(tmp_path)] == ["b.mcap", "note.txt", "a.hdf5"]


def test_what_is_wrong_inside_is_said(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=6)
    times, hand = demo.time_ns["hand"].copy(), demo.values["hand"].copy()
    times[3] = 0
    hand[2, 1] = np.nan
    demo = replace(demo.with_times(hand=times).with_values(hand=hand).with_metadata(task=""), instruction=" ")
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert [p["code"] for p in report["problems"]] == [
        "missing_task",
        "missing_instruction",
        "clock_backwards",
        "not_finite",
    ]


def test_datasets_that_nobody_reads_are_listed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/demo_1/states"] = np.zeros((9, 5))
        file["data/demo_1/left_dpos"] = np.zeros((9, 0))
    report = inspect_path(tmp_path / "a.hdf5")
    assert report["episodes"] == 0
    assert [(s["name"], s["kind"], s["shape"], s["count"]) for s in report["streams"]] == [
        ("left_dpos", "unmapped", [0], 9),
        ("states", "unmapped", [5], 9),
    ]
    assert report["problems"][0]["where"] == "a.hdf5#demo_1"


def test_a_broken_camera_frame_is_a_problem_and_no_crash(recordings: ModuleType, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "encode_jpeg", lambda image: b"\xff\xd8\xff\xe0")
        path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=3))
    assert {p["code"] for p in inspect_path(path)["problems"]} == {"bad_image"}


def test_nothing_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        inspect_path(tmp_path / "nowhere")
