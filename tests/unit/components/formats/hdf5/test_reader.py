from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.episode import Episode, episode_id
from components.core.errors import EpisodeError, FormatError
from components.formats.hdf5 import reader
from components.formats.mapping import Mapping, StreamRule
from components.formats.registry import open_recording, read_part
from components.formats.source import Found

Read = Callable[..., Episode]


@pytest.fixture
def path(recordings: ModuleType, tmp_path: Path) -> Path:
    demos = [recordings.make_demo(seed, steps=5 + seed) for seed in range(3)]
    written: Path = recordings.write_hdf5(tmp_path / "a.hdf5", demos)
    return written


def edit(path: Path, change: Callable[[h5py.Group], Any]) -> None:
    with h5py.File(path, "r+") as file:
        change(file["data"])


def replace(demo: h5py.Group, name: str, values: Any) -> None:
    del demo[name]
    demo[name] = values


def mapping(**streams: StreamRule) -> Mapping:
    return Mapping(name="own", streams=streams)


def test_each_demo_of_our_own_recorder_is_an_episode(recordings: ModuleType, path: Path, read: Read) -> None:
    opened = reader.open_source(path, None, where="a.hdf5")
    assert (opened.dialect, opened.parts) == ("robomimic", ("demo_0", "demo_1", "demo_2"))
    assert (opened.mapping.name, opened.problems) == ("sawyer-cell-hdf5", ())
    demo, episode = recordings.make_demo(2, steps=7), read(path, "demo_2")
    assert episode.provenance.source_uri == "a.hdf5#demo_2"
    assert (episode.task, episode.instruction, episode.rate_hz) == ("drawer-open", "pull the drawer open", 20.0)
    assert episode.provenance.consent_ref == "consent/a"
    assert set(episode.streams) == set(recordings.DATASET_OF)
    for name, stream in episode.streams.items():
        np.testing.assert_array_equal(np.stack(list(stream.values)), demo.values[name])
        np.testing.assert_array_equal(stream.time_ns, np.arange(7) * 50_000_000)


def test_the_same_demo_through_hdf5_and_mcap_is_one_episode(recordings: ModuleType, tmp_path: Path, read: Read) -> None:
    demo = recordings.make_demo(3, steps=6)
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(0), demo])
    mcap = recordings.write_mcap(tmp_path / "a.mcap", demo)
    one, other = read(path, "demo_1"), read_part(open_recording(Found(mcap, mcap.name, "mcap")), "")
    assert episode_id(one) == episode_id(other)
    assert {name: stream.kind for name, stream in one.streams.items()} == {
        name: stream.kind for name, stream in other.streams.items()
    }
    told = ("robot_id", "collector_id", "site", "recorded_at", "licence", "consent_ref", "outcome")
    assert all(getattr(one.provenance, key) == getattr(other.provenance, key) for key in told)


def test_demos_come_in_the_order_of_their_numbers(path: Path) -> None:
    edit(path, lambda data: data.move("demo_1", "demo_10"))
    assert reader.open_source(path, None, where="a.hdf5").parts == ("demo_0", "demo_2", "demo_10")


def test_attributes_may_be_bytes_or_numbers(path: Path, read: Read) -> None:
    def change(data: h5py.Group) -> None:
        data["demo_0"].attrs["instruction"] = np.bytes_(b"open it")
        data["demo_0"].attrs["robot_id"] = 7
        data["demo_0"].attrs["model_file"] = "<mujoco/>" * 1000

    edit(path, change)
    episode = read(path, "demo_0")
    assert (episode.instruction, episode.provenance.robot_id) == ("open it", "7")
    assert episode.extra == {"num_samples": "5"}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda d: d.__delitem__("time"), "missing_stream", "no dataset 'time'"),
        (lambda d: d.__delitem__("actions"), "missing_stream", "no dataset 'actions'; there are act"),
        (lambda d: replace(d, "actions", np.zeros((3, 4))), "length_mismatch", "3 samples but 6 timestamps"),
        (lambda d: replace(d, "actions", np.zeros((5, 7))), "wrong_shape", "has 7 columns, expected 4"),
        (lambda d: replace(d, "obs/robot0_eef_pos", np.zeros((5, 0))), "wrong_shape", r"\[5, 0\]"),
        (lambda d: replace(d, "obs/robot0_eef_pos", 3.0), "wrong_shape", "one value"),
        (lambda d: replace(d, "actions", np.array([b"a"] * 5)), "wrong_type", "expected numbers"),
        (lambda d: replace(d, "actions", np.zeros(5, "c16")), "wrong_type", "complex128"),
        (lambda d: replace(d, "actions", np.zeros(5, [("x", "f8"), ("y", "S3")])), "wrong_type", "not all of it"),
        (lambda d: replace(d, "obs/agentview_image", np.zeros((5, 8, 8, 3))), "wrong_shape", "float64"),
        (lambda d: replace(d, "obs/agentview_image", np.zeros((5, 8, 8, 2), "u1")), "wrong_shape", r"\[5, 8, 8, 2\]"),
        (lambda d: replace(d, "time", np.array([0, 1, np.nan, 3, 4])), "bad_time", "holds nan s"),
        (lambda d: replace(d, "time", np.full(5, 1e12)), "bad_time", "holds 1000000000000.0 s"),
        (lambda d: replace(d, "time", np.zeros((5, 2))), "bad_time", r"expected seconds \[N\]"),
        (lambda d: replace(d, "time", np.full(5, 1.7e9, "f4")), "bad_time", "same time 5 times"),
        (lambda d: d["time"].attrs.__setitem__("units", "fortnights"), "bad_time", "counts in 'fortnights'"),
        (lambda d: (d.__delitem__("actions"), d.create_group("actions")), "wrong_type", "is a group"),
        (lambda d: replace(d, "actions", h5py.Empty("f8")), "bad_dataset", "empty dataspace"),
    ],
)
def test_a_broken_demo_is_refused_alone(path: Path, read: Read, change: Any, code: str, said: str) -> None:
    edit(path, lambda data: change(data["demo_1"]))
    with pytest.raises(FormatError, match=said) as caught:
        read(path, "demo_1")
    assert caught.value.code == code
    assert (caught.value.where or "").startswith("a.hdf5#demo_1")
    assert len(read(path, "demo_0").streams) == 7


def test_a_demo_that_is_no_group_is_refused(path: Path, read: Read) -> None:
    edit(path, lambda data: data.create_dataset("demo_3", data=np.zeros(3)))
    with pytest.raises(EpisodeError, match="not a group"):
        read(path, "demo_3")


def test_a_damaged_first_demo_does_not_change_what_the_others_are(path: Path, read: Read) -> None:
    def change(data: h5py.Group) -> None:
        del data["demo_0"]
        data["demo_0"] = 1

    edit(path, change)
    assert reader.open_source(path, None, where="a.hdf5").mapping.name == "sawyer-cell-hdf5"
    assert len(read(path, "demo_1").streams) == 7


def test_half_a_file_is_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match="ends too early") as caught:
        reader.open_source(path, None, where="a.hdf5")
    assert caught.value.code == "truncated"


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file") as caught:
        reader.open_source(tmp_path / "a.hdf5", None, where="a.hdf5")
    assert caught.value.code == "unreadable"


def test_a_damaged_chunk_of_one_demo_does_not_harm_the_others(path: Path, read: Read) -> None:
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        del demo["actions"]
        actions = np.random.default_rng(0).normal(size=(5, 4))
        dataset = demo.create_dataset("actions", data=actions, chunks=(5, 4), compression="gzip", fletcher32=True)
        chunk = dataset.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + 10] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r"a\.hdf5#demo_0/actions: cannot be read") as caught:
        read(path, "demo_0")
    assert caught.value.code == "bad_dataset"
    assert np.shape(read(path, "demo_1").streams["action"].values) == (6, 4)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"elsewhere": 1, "thing": 2}, "at its top there are elsewhere, thing"),
        ({}, "at its top there are none"),
        ({"data/": 0}, "holds no demo"),
        ({"data": 3.0}, "at its top there are data"),
    ],
)
def test_a_file_without_demos_has_no_episodes(tmp_path: Path, made: dict[str, Any], said: str) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        for name, value in made.items():
            if name.endswith("/"):
                file.create_group(name)
            else:
                file[name] = value
    with pytest.raises(FormatError, match=said) as caught:
        reader.open_source(path, None, where="a.hdf5")
    assert caught.value.code == "no_episodes"


def test_any_file_is_an_episode_where_a_mapping_says_so(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.hdf5"
    stamps = np.array([0, 40, 81], np.int64)
    with h5py.File(path, "w") as file:
        file["arm/joints"] = np.arange(6.0).reshape(3, 2)
        file["arm/stamp"] = stamps
        file["arm/stamp"].attrs["units"] = "ms"
        file["words"] = np.array(["wave", "wave", "wave"], dtype=h5py.string_dtype())
        file.attrs["operator_task"] = "waving"
    own = Mapping(
        name="own",
        time="arm/stamp",
        instruction="words",
        task="operator_task",
        streams={"joints": StreamRule(source="arm/joints", kind="state", select=(1,))},
    )
    episode = read(path, "", own)
    assert (episode.instruction, episode.task) == ("wave", "waving")
    np.testing.assert_array_equal(episode.streams["joints"].values, [[1.0], [3.0], [5.0]])
    np.testing.assert_array_equal(episode.streams["joints"].time_ns, stamps * 1_000_000)
    assert [field.stream for field in reader.fields(path, "", own, where="a.hdf5")] == ["joints", "", ""]


def test_a_given_mapping_overrides_the_guess(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5")
    own = mapping(arm=StreamRule(source="actions", kind="action", select=(0, 6), units="m"))
    episode = read(path, "demo_0", own.model_copy(update={"rate_hz": 5.0}))
    assert list(episode.streams) == ["arm"]
    np.testing.assert_array_equal(episode.streams["arm"].values, layouts.numbers(6, 7)[:, [0, 6]])
    assert (episode.rate_hz, episode.extra["clock"], episode.streams["arm"].form.units) == (5.0, "assumed", "m")


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f2", ">i2", "u1", "?", "g"])
def test_numbers_of_any_kind_and_byte_order_are_read_as_what_they_say(path: Path, read: Read, dtype: str) -> None:
    values = np.arange(20).reshape(5, 4).astype(dtype)
    edit(path, lambda data: replace(data["demo_0"], "actions", values))
    read_back = np.asarray(read(path, "demo_0").streams["action"].values)
    assert read_back.dtype == np.dtype("float64").newbyteorder("=")
    np.testing.assert_array_equal(read_back, values.astype(np.float64))


def test_compound_datasets_give_their_members_as_columns(path: Path, read: Read) -> None:
    kind = np.dtype([("y", ">f4"), ("x", "i2"), ("z", "f8", (2,))])
    table = np.zeros(5, kind)
    table["x"], table["y"], table["z"] = np.arange(5), np.arange(5) / 2, [[7, 8]] * 5
    edit(path, lambda data: data["demo_0"].create_dataset("table", data=table))
    whole = mapping(table=StreamRule(source="table", kind="state"))
    chosen = mapping(table=StreamRule(source="table", kind="state", select=("x", "z_1")))
    np.testing.assert_array_equal(read(path, "demo_0", whole).streams["table"].values[2], [1.0, 2.0, 7.0, 8.0])
    np.testing.assert_array_equal(read(path, "demo_0", chosen).streams["table"].values[3], [3.0, 8.0])
    field = next(f for f in reader.fields(path, "demo_0", whole, where="a.hdf5#demo_0") if f.name == "table")
    assert (field.count, field.stream, field.problem) == (5, "table", "")
    assert "y: >f4" in field.type
    with pytest.raises(EpisodeError, match="no member 'w'; there are y, x, z_0, z_1"):
        read(path, "demo_0", mapping(table=StreamRule(source="table", kind="state", select=("w",))))


def test_every_dataset_is_a_field_and_what_nobody_can_read_says_why(path: Path) -> None:
    def change(data: h5py.Group) -> None:
        demo = data["demo_0"]
        demo["notes"] = np.array(["a", "bc"], dtype=h5py.string_dtype())
        demo.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype(np.float32))
        demo["wave"] = np.zeros(3, ">c8")
        demo["elsewhere"] = h5py.ExternalLink("other.hdf5", "x")

    edit(path, change)
    built_in = reader.open_source(path, None, where="a.hdf5").mapping
    fields = {field.name: field for field in reader.fields(path, "demo_0", built_in, where="a.hdf5#demo_0")}
    assert (fields["actions"].type, fields["actions"].shape, fields["actions"].count) == ("float64", (4,), 5)
    assert (fields["actions"].stream, fields["time"].stream) == ("action", "")
    assert fields["obs/agentview_image"].shape == (96, 96, 3)
    assert "variable-length float32 is no stream" in fields["ragged"].problem
    assert ">c8" in fields["wave"].problem
    assert "another file" in fields["elsewhere"].problem
    assert fields["notes"].type == "strings"
