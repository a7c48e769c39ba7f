from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.errors import EpisodeError, FormatError
from components.formats import hdf5

SHA = "0" * 64


def read(path: Path, part: str = "demo_0") -> Any:
    return hdf5.read_part(path, part, uri=path.name, sha256=SHA)


@pytest.fixture
def path(recordings: ModuleType, tmp_path: Path) -> Path:
    demos = [recordings.make_demo(seed, steps=5 + seed) for seed in range(3)]
    written: Path = recordings.write_hdf5(tmp_path / "a.hdf5", demos)
    return written


def edit(path: Path, change: Any) -> None:
    with h5py.File(path, "r+") as file:
        change(file["data"])


def test_each_demo_is_an_episode(recordings: ModuleType, path: Path) -> None:
    assert hdf5.parts(path, where="a.hdf5") == ("demo_0", "demo_1", "demo_2")
    demo, episode = recordings.make_demo(2, steps=7), read(path, "demo_2")
    assert episode.provenance.source_uri == "a.hdf5#demo_2"
    assert (episode.task, episode.instruction, episode.rate_hz) == ("drawer-open", "pull the drawer open", 20.0)
    assert episode.provenance.consent_ref == "consent/a"
    for name, stream in episode.streams.items():
        np.testing.assert_array_equal(stream.values, demo.values[name])
        np.testing.assert_array_equal(stream.time_ns, np.arange(7) * 50_000_000)


def test_demos_come_in_the_order_of_their_numbers(path: Path) -> None:
    edit(path, lambda data: data.move("demo_1", "demo_10"))
    assert hdf5.parts(path, where="a.hdf5") == ("demo_0", "demo_2", "demo_10")


def test_attributes_may_be_bytes_or_numbers(path: Path) -> None:
    def change(data: h5py.Group) -> None:
        data["demo_0"].attrs["instruction"] = np.bytes_(b"open it")
        data["demo_0"].attrs["robot_id"] = 7

    edit(path, change)
    episode = read(path)
    assert (episode.instruction, episode.provenance.robot_id) == ("open it", "7")
    assert episode.extra == {"num_samples": "5"}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda d: d.__delitem__("time"), "missing_stream", "no dataset 'time'"),
        (lambda d: d.__delitem__("actions"), "missing_stream", "no dataset 'actions'"),
        (lambda d: _replace(d, "actions", np.zeros((3, 4))), "length_mismatch", "3 samples but 5 timestamps"),
        (lambda d: _replace(d, "obs/robot0_eef_pos", np.zeros((5, 2))), "wrong_shape", r"expected \[N, 3\]"),
        (lambda d: _replace(d, "obs/robot0_eef_pos", np.zeros((5, 0))), "wrong_shape", r"\[5, 0\]"),
        (lambda d: _replace(d, "actions", np.array([b"a"] * 5)), "wrong_type", "expected numbers"),
        (lambda d: _replace(d, "actions", np.zeros(5, "c16")), "wrong_type", "complex128"),
        (lambda d: _replace(d, "obs/agentview_image", np.zeros((5, 8, 8, 3))), "wrong_shape", "float64"),
        (lambda d: _replace(d, "obs/agentview_image", np.zeros((5, 8, 8), "u1")), "wrong_shape", r"\[5, 8, 8\]"),
        (lambda d: _replace(d, "time", np.array([0, 1, np.nan, 3, 4])), "bad_time", "holds nan s"),
        (lambda d: _replace(d, "time", np.full(5, 1e12)), "bad_time", "holds 1000000000000.0 s"),
        (lambda d: _replace(d, "time", np.zeros((5, 2))), "bad_time", r"expected seconds \[N\]"),
        (lambda d: (d.__delitem__("actions"), d.create_group("actions")), "wrong_type", "is a group"),
    ],
)
def test_a_broken_demo_is_refused_alone(path: Path, change: Any, code: str, said: str) -> None:
    edit(path, lambda data: change(data["demo_0"]))
    with pytest.raises(EpisodeError, match=said) as caught:
        read(path)
    assert (caught.value.code, caught.value.where) == (code, "a.hdf5#demo_0")
    assert len(read(path, "demo_1").streams) == 7


def _replace(demo: h5py.Group, name: str, values: np.ndarray) -> None:
    del demo[name]
    demo[name] = values


def test_a_demo_that_is_no_group_is_refused(path: Path) -> None:
    edit(path, lambda data: data.create_dataset("demo_3", data=np.zeros(3)))
    with pytest.raises(EpisodeError, match="not a group"):
        read(path, "demo_3")


def test_half_a_file_is_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match="ends too early") as caught:
        hdf5.parts(path, where="a.hdf5")
    assert caught.value.code == "truncated"


def test_a_damaged_chunk_of_one_demo_does_not_harm_the_others(recordings: ModuleType, tmp_path: Path) -> None:
    path = recordings.write_hdf5(tmp_path / "a.hdf5", [recordings.make_demo(s, steps=5) for s in range(2)])
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        del demo["actions"]
        actions = np.random.default_rng(0).normal(size=(5, 4))
        dataset = demo.create_dataset("actions", data=actions, chunks=(5, 4), compression="gzip", fletcher32=True)
        chunk = dataset.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + 10] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r"a\.hdf5#demo_0: cannot be read") as caught:
        read(path)
    assert caught.value.code == "unreadable"
    assert read(path, "demo_1").streams["action"].values.shape == (5, 4)


@pytest.mark.parametrize("group", ["elsewhere", "data"])
def test_a_file_without_demos_has_no_episodes(tmp_path: Path, group: str) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group(group)
    with pytest.raises(FormatError, match=r"no group 'data'; there are elsewhere|holds no demo") as caught:
        hdf5.parts(path, where="a.hdf5")
    assert caught.value.code == "no_episodes"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [({"env_args": "{}"}, "robomimic"), ({"env_info": "{}"}, "robosuite"), ({}, "hdf5")],
)
def test_dialects_are_told_by_the_attributes(tmp_path: Path, attributes: dict[str, str], expected: str) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs.update(attributes)
    assert hdf5.dialect(path, where="a.hdf5") == expected
