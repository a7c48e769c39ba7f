from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.episode import Episode, Provenance, Stream
from components.core.errors import InputError
from components.formats import look as looking
from components.formats.cut_lists import CutList
from components.formats.cut_rows import SourceCut
from components.formats.cuts import Cut
from components.formats.inspect import inspect_path, inspected, mapping_text
from components.formats.look import Task, look
from components.formats.mapping import Mapping, StreamRule, load_mappings
from components.formats.source import Found

KEYS = ["format", "dialect", "episodes", "frames", "streams", "tasks", "problems", "mapping", "cuts"]


def stream(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [entry for entry in report["streams"] if entry["name"] == name]
    return dict(found)


def codes(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem["code"], problem["where"]) for problem in report["problems"]]


def test_an_mcap_file_is_summed_up(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=21, rates_hz={"fixed": 30, "hand": 100})
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert list(report) == KEYS
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
    recordings.write_mcap(tmp_path / "north/b.mcap", demos[0].without("action", "action_executed"))
    (tmp_path / "north/note.dat").write_text("hello")
    (tmp_path / "north/metadata.yaml").write_text("rosbag2: {}")
    (tmp_path / ".hidden").write_text("x")
    report = inspect_path(tmp_path)
    assert (report["format"], report["dialect"], report["episodes"]) == ("hdf5+mcap", "robomimic+ros2", 3)
    assert report["frames"] == 15
    assert report["tasks"] == ["task-0", "task-1"]
    assert stream(report, "action")["count"] == 10
    assert codes(report) == [("missing_stream", "north/b.mcap"), ("unknown_format", "north/note.dat")]


def test_a_pattern_is_inspected(recordings: ModuleType, tmp_path: Path) -> None:
    for name in ("a.mcap", "b.mcap", "c.bin"):
        recordings.write_mcap(tmp_path / name, recordings.make_demo(steps=3))
    assert inspect_path(tmp_path / "*.mcap")["episodes"] == 2


def test_what_is_wrong_inside_is_said_once(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=6)
    times, hand = demo.time_ns["hand"].copy(), demo.values["hand"].copy()
    times[3] = 0
    hand[2, 1] = np.nan
    demo = replace(demo.with_times(hand=times).with_values(hand=hand).with_metadata(task=""), instruction=" ")
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert [code for code, _ in codes(report)] == ["missing_instruction", "clock_backwards", "not_finite"]
    silent = [replace(recordings.make_demo(seed, steps=4), instruction="") for seed in range(3)]
    report = inspect_path(recordings.write_hdf5(tmp_path / "b.hdf5", silent))
    assert report["problems"] == [
        {
            "code": "missing_instruction",
            "where": "b.hdf5",
            "detail": "the recording does not hold an instruction (3 times)",
        }
    ]


def test_what_nobody_reads_is_listed(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=5))
    mapping = Mapping(streams={"told": StreamRule(source="/action", kind="action", select=("position",))})
    report = inspect_path(path, (mapping,))
    hand = stream(report, "/hand_pose")
    assert (hand["kind"], hand["dtype"], hand["count"]) == ("unmapped", "geometry_msgs/PoseStamped", 5)
    assert stream(report, "told")["kind"] == "action"
    json.dumps(report, allow_nan=False)


def test_the_mapping_that_ruled_can_be_given_again(recordings: ModuleType, tmp_path: Path) -> None:
    recordings.write_hdf5(tmp_path / "data/a.hdf5", [recordings.make_demo(steps=5)])
    recordings.write_mcap(tmp_path / "data/b[1].mcap", recordings.make_demo(steps=5))
    report = inspect_path(tmp_path / "data")
    (tmp_path / "map.yaml").write_text(report["mapping"])
    again = inspect_path(tmp_path / "data", load_mappings(tmp_path / "map.yaml"))
    assert (again["episodes"], again["streams"]) == (2, report["streams"])
    alone = inspect_path(tmp_path / "data/a.hdf5")["mapping"]
    assert "mappings:" not in alone
    (tmp_path / "map.yaml").write_text(alone)
    assert [mapping.name for mapping in load_mappings(tmp_path / "map.yaml")] == ["sawyer-cell-hdf5"]
    assert mapping_text({}) == ""


def test_cuts_beside_a_recording_are_shown(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=41))
    (tmp_path / "a.cuts.csv").write_text("start_s,end_s,task\n0,1,open\n1,2,close\n")
    found = inspected(path)
    report = found.as_dict()
    assert (report["episodes"], report["tasks"]) == (2, ["close", "open"])
    assert [(cut["source"], cut["name"]) for cut in report["cuts"]] == [
        ("a.mcap", "0.000-1.000s"),
        ("a.mcap", "1.000-2.000s"),
    ]
    assert [entry.cut.task for entry in found.cut_list.entries] == ["open", "close"]
    json.dumps(report, allow_nan=False)
    given = CutList((SourceCut("a.mcap", Cut(0, 10**9, task="given")),))
    assert inspect_path(path, cuts=given)["tasks"] == ["given"]


def test_cuts_of_a_long_recording_are_proposed(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=2000, image_px=8).without("fixed", "wrist")
    late = {name: np.where(times > 50 * 10**9, times + 60 * 10**9, times) for name, times in demo.time_ns.items()}
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo.with_times(**late)))
    assert report["episodes"] == 1
    assert [(cut["source"], round(cut["end_ns"] / 1e9)) for cut in report["cuts"]] == [("a.mcap", 50), ("a.mcap", 160)]


def test_a_broken_camera_frame_is_a_problem_and_no_crash(recordings: ModuleType, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "encode_jpeg", lambda image: b"\xff\xd8\xff\xe0")
        path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=3))
    assert {code for code, _ in codes(inspect_path(path))} == {"bad_image"}


def test_a_damaged_file_does_not_stop_the_others(recordings: ModuleType, tmp_path: Path) -> None:
    whole = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(steps=5)]).read_bytes()
    (tmp_path / "b.hdf5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(tmp_path / "c.hdf5", "w") as file:
        file["x"] = 1
    report = inspect_path(tmp_path)
    assert report["episodes"] == 1
    assert codes(report) == [("truncated", "b.hdf5"), ("no_episodes", "c.hdf5")]


def test_a_reader_that_crashes_is_a_problem(
    recordings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(steps=5)])
    recordings.write_mcap(tmp_path / "b.mcap", recordings.make_demo(steps=5))

    class Crashing:
        def __init__(self, work: object) -> None:
            pass

        def __call__(self, item: object) -> tuple[None, str]:
            return None, "crashed"

        def close(self) -> None:
            pass

    monkeypatch.setattr("components.formats.inspect.Child", Crashing)
    report = inspect_path(tmp_path)
    assert (report["episodes"], codes(report)) == (1, [("reader_crashed", "a.hdf5")])
    assert report["problems"][0]["detail"] == "the library that reads hdf5 crashed on it"


@pytest.mark.parametrize(
    ("times", "rate_hz", "code"),
    [
        ([1, 2, 3], 0.0, "bad_time"),
        ([1000, 2000, 3000], 1e6, None),
        ([5, 5, 5], 0.0, "clock_stands"),
        ([0, 2**63 - 1], 0.0, None),
        ([-(2**63), 2**63 - 1], 0.0, None),
        ([2**63 - 1, 0], 0.0, "clock_backwards"),
        ([1], 0.0, None),
    ],
)
def test_rates_of_no_clock_are_no_rates(
    monkeypatch: pytest.MonkeyPatch, times: Sequence[int], rate_hz: float, code: str | None
) -> None:
    values = np.zeros((len(times), 2))
    action = Stream("action", "action", np.array(times, np.int64), values)
    episode = Episode("t", "do it", "", {"action": action}, Provenance("a", "", "mcap"), 0.0)

    class Whole:
        dialect, mapping, cuts, parts, problems = "x", None, (), ("",), ()

        def uri_of(self, part: str) -> str:
            return "a"

    monkeypatch.setattr(looking, "open_recording", lambda *args, **options: Whole())
    monkeypatch.setattr(looking, "fields", lambda *args: [])
    monkeypatch.setattr(looking, "propose", lambda *args: ())
    monkeypatch.setattr(looking, "read_part", lambda *args: episode)
    seen = look(Task(Found(Path("a"), "a", "mcap")))
    (rates,) = seen.rates.values()
    assert rates == [pytest.approx(rate_hz, abs=1e-6)]
    assert [problem.code for problem in seen.problems] == ([code] if code else [])


def test_streams_on_clocks_of_their_own_are_named(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=5, image_px=8)
    demo = demo.with_times(hand=demo.time_ns["hand"] - 10**18)
    report = inspect_path(recordings.write_mcap(tmp_path / "a.mcap", demo))
    assert codes(report) == [("clocks_apart", "a.mcap")]
    assert "after the end of 'hand'" in report["problems"][0]["detail"]
    assert report["cuts"] == []


def test_nothing_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        inspect_path(tmp_path / "nowhere")


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert [code for code, _ in codes(inspect_path(tmp_path))] == ["no_episodes"]
