from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from components.core.episode import episode_id
from components.core.errors import FormatError, InputError
from components.core.files import sha256_file
from components.formats.cut_lists import CutList
from components.formats.cut_rows import SourceCut
from components.formats.cuts import Cut
from components.formats.mapping import Mapping, StreamRule
from components.formats.registry import (
    content_sha256,
    cut_parts,
    fields,
    find_sources,
    open_recording,
    read,
    read_part,
)
from components.formats.source import Found, Recording

S = 10**9


def opened(path: Path, **options: object) -> Recording:
    (found,), broken = find_sources(path)
    assert not broken
    return open_recording(found, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.mcap", "a.hdf5", "a.bin", "a"])
def test_the_name_of_a_file_does_not_matter(recordings: ModuleType, tmp_path: Path, name: str) -> None:
    demo = recordings.make_demo(steps=3)
    for format_, write in (("mcap", recordings.write_mcap), ("hdf5", lambda path, d: recordings.write_hdf5(path, [d]))):
        recording = opened(write(tmp_path / format_ / name, demo))
        assert recording.format == format_
        assert len(read_part(recording, recording.parts[0]).stream("action")) == 3


def test_the_same_streams_get_one_id_whatever_held_them(recordings: ModuleType, tmp_path: Path) -> None:
    demos = [recordings.make_demo(seed, steps=20) for seed in range(3)]
    recordings.write_hdf5(tmp_path / "one/a.hdf5", demos)
    for number, demo in enumerate(demos):
        recordings.write_mcap(tmp_path / f"other/{number}.mcap", demo)
    ids = {part: [episode_id(episode) for episode in read(tmp_path / part)] for part in ("one", "other")}
    assert ids["one"] == ids["other"]
    assert len(set(ids["one"])) == 3


def test_good_demos_are_read_before_a_broken_one_is_reported(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(s, steps=4) for s in range(3)])
    with h5py.File(path, "r+") as file:
        del file["data/demo_1/actions"]
    (tmp_path / "b.mcap").write_bytes(b"")
    seen = []
    with pytest.raises(InputError, match=r"b\.mcap: the file is empty"):
        seen.extend(episode.provenance.source_uri for episode in read(tmp_path))
    assert [uri for uri in seen if "demo_1" not in uri] == ["a.hdf5#demo_0", "a.hdf5#demo_2"]


def test_a_recording_knows_its_hash_and_parts(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(s, steps=4) for s in range(2)])
    recording = open_recording(Found(path, "x/a.hdf5", "hdf5"))
    assert (recording.format, recording.sha256) == ("hdf5", sha256_file(path))
    assert [recording.uri_of(part) for part in recording.parts] == ["x/a.hdf5#demo_0", "x/a.hdf5#demo_1"]
    assert read_part(recording, "demo_1").provenance.source_sha256 == sha256_file(path)
    assert open_recording(Found(path, "x", "hdf5"), sha256="known").sha256 == "known"


def test_the_hash_of_a_folder_is_over_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"1")
    before = content_sha256(tmp_path / "a")
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert content_sha256(tmp_path / "a") != before
    (tmp_path / "a/y").rename(tmp_path / "a/x")
    assert content_sha256(tmp_path / "a") == before


def test_an_own_mapping_goes_before_the_built_in_one(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=5))
    assert opened(path).mapping.name == "sawyer-cell-mcap"
    rule = StreamRule(source="/joint_states", kind="action", select=("position",))
    mine = Mapping(name="mine", streams={"told": rule})
    recording = opened(path, mappings=(Mapping(match="b.*", streams={}), mine))
    assert recording.mapping.name == "mine"
    episode = read_part(recording, recording.parts[0])
    assert list(episode.streams) == ["told"]
    unmapped = {field.name for field in fields(recording, "") if not field.stream}
    assert {"/action", "/hand_pose"} <= unmapped


def test_parts_are_named_by_their_cuts() -> None:
    early, late = Cut(0, S, part="demo_1"), Cut(S, 2 * S, part="demo_1", keep=False)
    assert cut_parts(("demo_0", "demo_1"), (early, late)) == (("demo_0", early.name), (early,), [])
    assert cut_parts(("",), (Cut(0, S), Cut(S, 2 * S))) == (
        ("0.000-1.000s", "1.000-2.000s"),
        (Cut(0, S), Cut(S, 2 * S)),
        [],
    )
    # A cut that names no part is for the only one.
    assert cut_parts(("demo_7",), (Cut(0, S),))[0] == ("demo_7@0.000-1.000s",)
    assert cut_parts(("demo_0", "demo_1"), (Cut(0, S), Cut(0, S, part="demo_9"))) == (
        ("demo_0", "demo_1"),
        (),
        ["", "demo_9"],
    )
    assert cut_parts(("",), (Cut(0, S, keep=False),)) == ((), (), [])


@pytest.mark.parametrize("format_", ["mcap", "hdf5"])
def test_cuts_make_episodes_of_a_long_recording(recordings: ModuleType, tmp_path: Path, format_: str) -> None:
    demo = recordings.make_demo(steps=61)
    if format_ == "mcap":
        path = recordings.write_mcap(tmp_path / "a.mcap", demo)
    else:
        path = recordings.write_hdf5(tmp_path / "a.hdf5", [demo])
    cuts = CutList((SourceCut(path.name, Cut(0, S, instruction="first")), SourceCut(path.name, Cut(2 * S, 4 * S))))
    recording = opened(path, cuts=cuts)
    assert [part.rpartition("@")[2] for part in recording.parts] == ["0.000-1.000s", "2.000-4.000s"]
    first, last = (read_part(recording, part) for part in recording.parts)
    assert (first.instruction, last.instruction) == ("first", demo.instruction)
    assert first.provenance.source_uri == recording.uri_of(recording.parts[0])
    np.testing.assert_allclose(first.stream("joints").values, demo.values["joints"][: len(first.stream("joints"))])
    assert 19 <= len(first.stream("action")) <= 20
    assert 20 <= len(last.stream("action")) <= 21
    assert len({episode_id(episode) for episode in (first, last)}) == 2
    assert {field.name for field in fields(recording, recording.parts[0])}


def test_a_list_beside_a_recording_cuts_it(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=41))
    beside = tmp_path / "a.mcap.cuts.csv"
    beside.write_text("start_s,end_s\n0,1\n")
    assert opened(path).parts == ("0.000-1.000s",)
    beside.write_text("start_s,end_s\n1,0\n")
    with pytest.raises(FormatError, match=r"its cut list a\.mcap\.cuts\.csv: line 2 cannot be used") as caught:
        opened(path)
    assert (caught.value.code, caught.value.where) == ("bad_cuts", "a.mcap")


def test_a_cut_of_a_part_that_is_not_there_is_a_problem(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(steps=4)])
    cuts = CutList((SourceCut("a.hdf5", Cut(0, S, part="demo_5")),))
    recording = opened(path, cuts=cuts)
    assert (recording.parts, recording.cuts) == (("demo_0",), ())
    assert [(problem.code, problem.where) for problem in recording.problems] == [("missing_part", "a.hdf5")]


def test_a_pattern_finds_several(recordings: ModuleType, tmp_path: Path) -> None:
    for name in ("a.mcap", "b.mcap"):
        recordings.write_mcap(tmp_path / name, recordings.make_demo(steps=3))
    found, broken = find_sources(tmp_path / "*.mcap", prefix="day")
    assert ([one.uri for one in found], broken) == (["day/a.mcap", "day/b.mcap"], [])


def test_a_mapping_without_streams_is_said_on_top_of_the_guess(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_mcap(tmp_path / "a.mcap", recordings.make_demo(steps=4, task="", site=""))
    plain = opened(path)
    told = opened(path, mappings=[Mapping(clock="log", constants={"task": "drawer-open", "site": "site-east"})])
    assert told.mapping.streams == plain.mapping.streams
    episode = read_part(told, "")
    assert (episode.task, episode.provenance.site) == ("drawer-open", "site-east")
    assert (episode.stream("action").time_ns == read_part(plain, "").stream("action").time_ns + 5_000_000).all()


def test_an_episode_without_a_task_is_called_by_its_instruction(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=4, task="")
    episode = read_part(opened(recordings.write_mcap(tmp_path / "a.mcap", demo)), "")
    assert (episode.task, episode.instruction) == (demo.instruction, demo.instruction)


def test_events_in_the_time_of_day_cut_an_mcap(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=41)
    path = recordings.write_mcap(tmp_path / "a.mcap", demo, origin_ns=1_700_000_000 * S)
    event = {"start": "2023-11-14T22:13:20.500Z", "end": "2023-11-14T22:13:21.500Z", "metadata": {"label": "success"}}
    path.with_name("a.events.json").write_text(json.dumps([event]))
    recording = opened(path)
    assert recording.parts == ("0.500-1.500s",)
    episode = read_part(recording, recording.parts[0])
    assert episode.provenance.outcome == "success"
    assert len(episode.stream("action")) == 20


def test_the_label_of_an_event_names_an_episode_that_has_no_other_name(recordings: ModuleType, tmp_path: Path) -> None:
    demo = recordings.make_demo(steps=41, task="")
    path = recordings.write_mcap(tmp_path / "a.mcap", replace(demo, instruction=""))
    path.with_name("a.events.json").write_text(json.dumps([{"start": 0, "end": 1, "metadata": {"label": "pick"}}]))
    recording = opened(path)
    episode = read_part(recording, recording.parts[0])
    assert (episode.task, episode.instruction) == ("pick", "pick")
