from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import Mapping, StreamRule

Read = Callable[..., Episode]


def written(path: Path, **datasets: Any) -> Path:
    """A file with one demo whose `cam` is given as data or as the arguments of `create_dataset`."""
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        for name, made in datasets.items():
            if isinstance(made, dict):
                demo.create_dataset(name, **made)
            else:
                demo[name] = made
    return path


def rule(kind: str = "image", **more: Any) -> Mapping:
    return Mapping(name="own", streams={"cam": StreamRule.model_validate({"from": "cam", "kind": kind, **more})})


def frames(read: Read, path: Path, mapping: Mapping) -> list[Any]:
    return list(read(path, "demo_0", mapping).streams["cam"].values)


@pytest.mark.parametrize("chunks", [None, (1, 16, 16, 3), (3, 8, 8, 1), (7, 16, 16, 3)])
def test_frames_come_in_any_order_and_are_the_ones_stored(
    layouts: ModuleType, tmp_path: Path, read: Read, chunks: tuple[int, ...] | None
) -> None:
    images = layouts.pictures(7)
    path = written(tmp_path / "a.hdf5", cam={"data": images, "chunks": chunks})
    values = read(path, "demo_0", rule()).streams["cam"].values
    for index in (0, 6, 3, 3, -1, 1):
        np.testing.assert_array_equal(values[index], images[index])
    np.testing.assert_array_equal(np.stack(values[2:5]), images[2:5])  # type: ignore[arg-type]
    for beyond in (7, -8):
        with pytest.raises(IndexError, match="of 7"):
            values[beyond]


def test_frames_are_turned_over_and_recoloured_as_the_rule_says(
    layouts: ModuleType, tmp_path: Path, read: Read
) -> None:
    images = layouts.pictures(3, channel=2)
    path = written(tmp_path / "a.hdf5", cam=images)
    turned = frames(read, path, rule(flip=True, order="bgr"))
    np.testing.assert_array_equal(np.stack(turned), images[:, ::-1, :, ::-1])


def test_a_frame_outlives_the_block_that_it_was_read_with(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = written(tmp_path / "a.hdf5", cam=layouts.pictures(3))
    first = read(path, "demo_0", rule()).streams["cam"].values[0]
    assert isinstance(first, np.ndarray)
    assert first.base is None


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 8, 1), (3, 8, 8, 4)])
def test_grey_and_transparent_images_become_rgb(tmp_path: Path, read: Read, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, size=shape, dtype=np.uint8)
    got = np.stack(frames(read, written(tmp_path / "a.hdf5", cam=images), rule()))
    assert got.shape == (3, 8, 8, 3)
    np.testing.assert_array_equal(got[..., 0], images.reshape(3, 8, 8, -1)[..., 0])


@pytest.mark.parametrize("kind", ["padded", "fixed", "variable", "strings"])
def test_encoded_images_of_every_storage_are_the_bytes_that_were_encoded(
    layouts: ModuleType, tmp_path: Path, read: Read, kind: str
) -> None:
    jpegs = [layouts.jpeg(image) for image in layouts.pictures(3)]
    longest = max(map(len, jpegs)) + 3
    if kind == "variable":
        made: Any = {"shape": (3,), "dtype": h5py.vlen_dtype(np.uint8)}
    elif kind == "strings":
        made = {"shape": (3,), "dtype": f"V{longest}"}
    elif kind == "fixed":
        made = {"shape": (3,), "dtype": f"S{longest}"}
    else:
        made = {"shape": (3, longest), "dtype": "u1"}
    path = written(tmp_path / "a.hdf5", cam=made)
    with h5py.File(path, "r+") as file:
        for index, jpeg in enumerate(jpegs):
            row = np.frombuffer(jpeg, np.uint8)
            if kind == "padded":
                file["data/demo_0/cam"][index, : len(row)] = row
            elif kind == "variable":
                file["data/demo_0/cam"][index] = row
            else:
                file["data/demo_0/cam"][index] = np.void(jpeg.ljust(longest, b"\0")) if kind == "strings" else jpeg
    assert frames(read, path, rule()) == jpegs
    turned = frames(read, path, rule(flip=True))[0]
    np.testing.assert_array_equal(turned, decode_image(jpegs[0], where="")[::-1])


@pytest.mark.parametrize(
    ("stored", "expected_mm"),
    [
        (np.full((2, 4, 4), 1234, np.uint16), 1234),
        (np.full((2, 4, 4, 1), 1234, ">u2"), 1234),
        (np.full((2, 4, 4, 1), 1.2344, np.float32), 1234),
        (np.full((2, 4, 4), np.nan), 0),
        (np.full((2, 4, 4), np.inf), 0),
        (np.full((2, 4, 4), 70.0), 0),
        (np.full((2, 4, 4), -1.0), 0),
    ],
)
def test_depth_is_millimetres(tmp_path: Path, read: Read, stored: np.ndarray, expected_mm: int) -> None:
    for depth in frames(read, written(tmp_path / "a.hdf5", cam=stored), rule("depth")):
        assert decode_depth(depth, where="").dtype == np.uint16
        np.testing.assert_array_equal(depth, np.full((4, 4), expected_mm))


@pytest.mark.parametrize(
    ("made", "kind", "code", "said"),
    [
        ({"shape": (3, 1 << 40, 8, 3), "dtype": "u1", "chunks": (1, 8, 8, 3)}, "image", "too_large", "claims"),
        ({"shape": (1 << 50, 8, 8, 3), "dtype": "u1", "chunks": (1, 8, 8, 3)}, "image", "too_large", "claims"),
        ({"shape": (1 << 33, 4), "dtype": "f8", "chunks": (64, 4)}, "state", "too_large", "claims"),
        ({"shape": (4, 4), "dtype": "S1000000000", "chunks": (1, 1)}, "state", "too_large", "claims"),
        ({"shape": (3, 4, 4, 5), "dtype": "u1"}, "image", "wrong_shape", "JPEG or PNG"),
        ({"shape": (3, 0, 4, 3), "dtype": "u1"}, "image", "wrong_shape", "JPEG or PNG"),
        ({"shape": (3, 4, 4, 3), "dtype": "i4"}, "image", "wrong_shape", "int32"),
        ({"shape": (), "dtype": "u1"}, "image", "wrong_shape", "expected"),
        ({"shape": (3, 4, 4, 3), "dtype": "f4"}, "depth", "wrong_shape", "uint16 or metres"),
        ({"shape": (3, 4, 4), "dtype": "f8"}, "state", "wrong_shape", r"expected \[N, D\]"),
    ],
)
def test_absurd_datasets_are_refused_before_memory_is_taken(
    tmp_path: Path, read: Read, made: dict[str, Any], kind: str, code: str, said: str
) -> None:
    path = written(tmp_path / "a.hdf5", cam=made)
    with pytest.raises(FormatError, match=said) as caught:
        read(path, "demo_0", rule(kind))
    assert caught.value.code == code
    assert (caught.value.where or "").startswith("a.hdf5#demo_0")


def test_a_row_of_frames_that_ends_in_damage_is_read_up_to_it(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    made = {"data": layouts.pictures(4), "chunks": (1, 16, 16, 3), "compression": "gzip", "fletcher32": True}
    path = written(tmp_path / "a.hdf5", cam=made)
    with h5py.File(path) as file:
        last = file["data/demo_0/cam"].id.get_chunk_info(3)
    whole = bytearray(path.read_bytes())
    whole[last.byte_offset + 9] ^= 0x55
    path.write_bytes(whole)
    values = read(path, "demo_0", rule()).streams["cam"].values
    assert [np.shape(values[index]) for index in range(3)] == [(16, 16, 3)] * 3
    with pytest.raises(FormatError, match=r"a\.hdf5#demo_0/cam: cannot be read") as caught:
        values[3]
    assert caught.value.code == "bad_dataset"


@pytest.mark.parametrize("made", ["link", "soft", "storage", "virtual"])
def test_data_in_other_files_are_never_followed(tmp_path: Path, read: Read, made: str) -> None:
    secret = tmp_path / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["cam"] = np.zeros((3, 4, 4, 3), np.uint8)
    path = written(tmp_path / "a.hdf5", other=np.zeros(3))
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        if made in ("link", "soft"):
            demo["cam" if made == "link" else "way"] = h5py.ExternalLink(str(secret), "/cam" if made == "link" else "/")
        if made == "soft":
            demo["cam"] = h5py.SoftLink("/data/demo_0/way/cam")
        if made == "storage":
            place = [(str(secret), 0, 144)]
            demo.create_dataset("cam", (3, 4, 4, 3), "u1", external=place)
        if made == "virtual":
            layout = h5py.VirtualLayout((3, 4, 4, 3), "u1")
            layout[:] = h5py.VirtualSource(str(secret), "cam", (3, 4, 4, 3))
            demo.create_virtual_dataset("cam", layout)
    with pytest.raises(FormatError, match="lie in another file") as caught:
        read(path, "demo_0", rule())
    assert caught.value.code == "external_data"


def test_a_soft_link_within_the_file_is_followed(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = written(tmp_path / "a.hdf5", real=layouts.pictures(2))
    with h5py.File(path, "r+") as file:
        file["data/demo_0/cam"] = h5py.SoftLink("/data/demo_0/real")
    assert len(frames(read, path, rule())) == 2


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path, read: Read) -> None:
    path = written(tmp_path / "a.hdf5", cam={"data": np.zeros((4, 3)), "chunks": (4, 3), "compression": "gzip"})
    # Filter 1 (deflate) becomes 32001 (blosc) in the description of the dataset.
    whole = path.read_bytes()
    found = whole.index(b"\x01\x00\x08\x00\x01\x00\x01\x00deflate\x00")
    path.write_bytes(whole[:found] + (32001).to_bytes(2, "little") + whole[found + 2 :])
    with pytest.raises(FormatError, match=r"filter 32001 \(deflate\)") as caught:
        read(path, "demo_0", rule("state"))
    assert caught.value.code == "missing_filter"


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path, read: Read) -> None:
    peaks = []
    for count in (40, 160):
        path = written(
            tmp_path / f"{count}.hdf5",
            cam={"shape": (count, 240, 320, 3), "dtype": "u1", "chunks": (1, 240, 320, 3), "fillvalue": 7},
        )
        with h5py.File(path, "r+") as file:
            for index in range(count):
                file["data/demo_0/cam"][index] = index
        gc.collect()
        tracemalloc.start()
        values = read(path, "demo_0", rule()).streams["cam"].values
        assert [int(np.asarray(frame)[0, 0, 0]) for frame in values] == list(range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 12e6


def test_a_dataset_that_is_gone_when_its_frames_are_wanted(layouts: ModuleType, tmp_path: Path, read: Read) -> None:
    path = written(tmp_path / "a.hdf5", cam=layouts.pictures(2))
    values = read(path, "demo_0", rule()).streams["cam"].values
    written(path, other=np.zeros(3))
    with pytest.raises(FormatError, match="no dataset 'cam' any more"):
        values[0]


def test_a_camera_that_is_a_group_is_refused(tmp_path: Path, read: Read) -> None:
    path = written(tmp_path / "a.hdf5", other=np.zeros(3))
    with h5py.File(path, "r+") as file:
        file.create_group("data/demo_0/cam")
    with pytest.raises(EpisodeError, match="is a group"):
        read(path, "demo_0", rule())
