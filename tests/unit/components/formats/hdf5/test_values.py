from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.hdf5 import reader
from components.formats.hdf5.clock import times_in
from components.formats.hdf5.file import natural
from components.formats.hdf5.heaps import require_sound_heaps
from components.formats.hdf5.values import dataset_texts, text
from components.formats.mapping import Mapping, StreamRule

Read = Callable[..., Episode]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"words\0\0", "words"),
        (np.bytes_(b"words"), "words"),
        ("w\udce9rds", "w\ufffdrds"),
        ("\ud800", "\ufffd"),
        (b"w\xe9rds", "w\ufffdrds"),
        (np.array(["words"], dtype=object), "words"),
        (np.array([[7]]), "7"),
        (np.float32(0.5), "0.5"),
        (np.True_, "True"),
        (np.arange(3), ""),
        (np.zeros(0), ""),
        (h5py.Empty("S1"), ""),
        (None, ""),
    ],
)
def test_words_are_made_of_anything_that_a_writer_may_have_stored(value: Any, expected: str) -> None:
    assert text(value) == expected
    text(value).encode()


def test_texts_of_a_dataset_of_any_kind_of_string(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["fixed"] = np.array([b"a", b"bc"])
        file["variable"] = np.array(["a", "bc"], dtype=h5py.string_dtype())
        file["one"] = "abc"
        file["numbers"] = np.arange(2)
        found = [dataset_texts(file, name, where="") for name in ("fixed", "variable", "one", "numbers", "none")]
    assert found == [["a", "bc"], ["a", "bc"], ["abc"], [], []]


def test_names_that_are_no_utf8_are_refused_with_their_demo(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_robomimic(tmp_path / "a.hdf5", (4, 5, 6))
    with h5py.File(path, "r+") as file:
        demo, data = file["data/demo_0"].id, file["data"].id
        demo.links.move(b"actions", demo, b"act\xe9ons")
        data.links.move(b"demo_2", data, b"demo_\xe9")
    parts = reader.open_source(path, None, where="a.hdf5").parts
    assert parts == ("demo_0", "demo_1", "demo_\\xe9")
    assert len(read(path, "demo_1").streams["action"]) == 5
    with pytest.raises(FormatError, match=r"act\\xe9ons: a name that is not UTF-8") as caught:
        read(path, "demo_0")
    assert caught.value.code == "bad_group"
    with pytest.raises(EpisodeError, match="no group"):
        read(path, parts[2])


@pytest.mark.parametrize(
    ("values", "unit", "expected_ns"),
    [
        (np.array([0.5, 1.5]), "s", [500_000_000, 1_500_000_000]),
        (np.array([[0.5], [1.5]], ">f4"), "s", [500_000_000, 1_500_000_000]),
        (np.array([1_700_000_000_000_000_001, 1_700_000_000_000_000_003]), "ns", None),
        (np.array([3, 5], "u4"), "ms", [3_000_000, 5_000_000]),
        (np.array([3, 5], "i8"), "us", [3_000, 5_000]),
        (np.array([0.25, 0.5]), "ms", [250_000, 500_000]),
    ],
)
def test_times_keep_every_nanosecond_that_the_file_holds(
    tmp_path: Path, values: np.ndarray, unit: str, expected_ns: list[int] | None
) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["t"] = values
        found = times_in(file["t"], unit, "t", where="a.hdf5")
    assert found.tolist() == (expected_ns or values.tolist())


@pytest.mark.parametrize(
    ("values", "unit", "said"),
    [
        (np.array([2**62, 2**62 + 1], "u8"), "s", "holds"),
        (np.array([], "f8"), "s", r"float64 \[0\]"),
        (np.array([b"now"]), "s", "expected seconds"),
        (np.array([1.0, np.inf]), "ms", "holds inf s"),
        (np.array([5, 5, 5]), "ns", "same time 3 times"),
    ],
)
def test_times_that_are_none_are_refused(tmp_path: Path, values: np.ndarray, unit: str, said: str) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["t"] = values
        with pytest.raises(EpisodeError, match=said) as caught:
            times_in(file["t"], unit, "t", where="a.hdf5")
    assert caught.value.code in ("bad_time", "wrong_type")


def test_numbers_in_names_count() -> None:
    assert sorted(["demo_10", "demo_2", "demo10", "demo2", "x"], key=natural) == [
        "demo2",
        "demo10",
        "demo_2",
        "demo_10",
        "x",
    ]


def heap(*objects: tuple[int, int, bytes], claims: int = 256) -> bytes:
    """A collection of (index, size, bytes) that says it has so many bytes, and has 256."""
    body = b"".join(index.to_bytes(8, "little") + length.to_bytes(8, "little") + raw for index, length, raw in objects)
    return (b"GCOL\x01\0\0\0" + claims.to_bytes(8, "little") + body).ljust(256, b"\xff")


@pytest.mark.parametrize(
    ("heap_bytes", "sound"),
    [
        (heap((1, 5, b"words".ljust(8, b"\0")), (0, 216, b"")), True),
        (heap((1, 5, b"words".ljust(8, b"\0")), (0, 0, b"")), False),
        (heap((1, 2**64 - 16, b"")), False),
        (heap((1, 2**63, b"")), True),
        (heap((0, 0, b""), claims=1 << 40), True),
    ],
)
@pytest.mark.parametrize("before", [0, 7, (1 << 20) - 3])
def test_heaps_on_which_the_library_would_spin_are_found(
    tmp_path: Path, heap_bytes: bytes, sound: bool, before: int
) -> None:
    path = tmp_path / "a.hdf5"
    path.write_bytes(bytes(before) + heap_bytes)
    if sound:
        require_sound_heaps(path, where="a.hdf5")
        return
    with pytest.raises(FormatError, match=f"at byte {before} is damaged") as caught:
        require_sound_heaps(path, where="a.hdf5")
    assert caught.value.code == "bad_heap"


def test_attributes_of_cameras_become_calibration(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = layouts.write_aloha(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file.attrs["cam_high_intrinsics"] = np.eye(3)
        file["observations/cam_wrist_extrinsics"] = np.tile(np.eye(4), (6, 1, 1))
        file["observations/cam_low_extrinsics"] = np.arange(96.0).reshape(6, 4, 4)
    own = Mapping(name="own", streams={"qpos": StreamRule(source="observations/qpos", kind="state")})
    cameras = read(path, "", own).calibration["cameras"]
    assert cameras["cam_high"] == {"intrinsics": np.eye(3).tolist()}
    assert [camera["extrinsics"] for name, camera in cameras.items() if "wrist" in name] == [np.eye(4).tolist()]
    assert not any("low" in name for name in cameras)
