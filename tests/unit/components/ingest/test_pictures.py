from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.ingest.pictures import Depths, Images


class Counted(Sequence[Any]):
    """Frames that know how often each was read."""

    def __init__(self, frames: list[Any]) -> None:
        self.frames = frames
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        self.reads.append(index)
        return self.frames[index]


def camera(frames: list[Any], kind: Any = "image") -> tuple[Stream, Counted]:
    counted = Counted(frames)
    return Stream("cam", kind, np.arange(len(frames), dtype=np.int64), counted), counted


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def grey(level: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), level, np.uint8)


def test_frames_are_decoded_when_they_are_taken_and_once_in_a_row() -> None:
    stream, counted = camera([png(grey(level)) for level in (10, 20, 30)])
    images = Images(stream, np.array([0, 0, 1, 1, 1, 2]), 8, "f")
    assert (len(images), counted.reads) == (6, [])
    levels = [int(frame[0, 0, 0]) for frame in images]
    assert (levels, counted.reads) == ([10, 10, 20, 20, 20, 30], [0, 1, 2])


def test_images_have_the_size_of_the_embodiment() -> None:
    stream, _ = camera([grey(50, 16), grey(60, 16)])
    images = Images(stream, np.array([1, 0]), 4, "f")
    assert [(frame.shape, int(frame.mean())) for frame in images] == [((4, 4, 3), 60), ((4, 4, 3), 50)]
    assert [frame.mean() for frame in images[:1]] == [60.0]
    assert int(images[-1].mean()) == 50


def test_depth_keeps_its_size_and_its_millimetres() -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    stream, _ = camera([png(values), values + 1], "depth")
    first, second = Depths(stream, np.array([0, 1]), "f")
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(second, values + 1)
    assert first.dtype == np.uint16


@pytest.mark.parametrize(
    ("frames", "code", "said"),
    [
        ([grey(1), grey(1, 9)], "wrong_shape", r"camera 'cam' has frames of \[8, 8, 3\] and \[9, 9, 3\]"),
        ([grey(1), grey(1)[..., 0]], "wrong_shape", r"camera 'cam' gives uint8 \[8, 8\]"),
        ([grey(1), grey(1).astype(np.float32)], "wrong_shape", r"camera 'cam' gives float32 \[8, 8, 3\]"),
        ([grey(1), b"\xff\xd8 not a jpeg"], "bad_image", "a camera frame cannot be decoded"),
    ],
)
def test_a_frame_that_cannot_be_used_is_named_when_it_is_taken(frames: list[Any], code: str, said: str) -> None:
    images = Images(camera(frames)[0], np.array([0, 1]), 8, "a.hdf5#demo_0")
    assert images[0].shape == (8, 8, 3)
    with pytest.raises(EpisodeError, match=said) as caught:
        images[1]
    assert (caught.value.code, caught.value.where) == (code, "a.hdf5#demo_0")


def test_a_picture_in_colour_is_no_depth() -> None:
    depths = Depths(camera([grey(1)], "depth")[0], np.array([0]), "f")
    with pytest.raises(EpisodeError, match=r"camera 'cam' gives uint8 \[8, 8, 3\]"):
        depths[0]
