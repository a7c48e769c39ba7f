from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.dataset import pictures
from components.dataset.pictures import data_uri, frame, frames, grey, jpeg
from components.dataset.reader import Dataset


@pytest.mark.parametrize("block", [1, 7, 64])
def test_frames_are_those_of_the_dataset_however_many_are_decoded_at_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(pictures, "_BLOCK", block)
    dataset = Dataset.open(tree)
    np.testing.assert_array_equal(np.stack(list(frames(dataset, 4, "wrist"))), dataset.images(4, "wrist"))


def test_one_frame_is_that_of_its_tick(tree: Path) -> None:
    dataset = Dataset.open(tree)
    np.testing.assert_array_equal(frame(dataset, 4, "fixed", 17), dataset.images(4, "fixed")[17])


def test_a_wide_picture_is_made_smaller_and_keeps_its_shape() -> None:
    image = np.full((60, 200, 3), 128, np.uint8)
    assert Image.open(io.BytesIO(jpeg(image, quality=80, widest_px=100))).size == (100, 30)
    assert Image.open(io.BytesIO(jpeg(image, quality=80, widest_px=400))).size == (200, 60)


def test_near_is_bright_and_unmeasured_is_black() -> None:
    depth = np.array([[0, 1, 500, 1000, 4000]], np.uint16)
    near, *_ = grey(depth, 1000)
    assert near.tolist() == [0, 254, 127, 0, 0]
    assert grey(np.zeros((2, 2), np.uint16), 0).max() == 0


def test_a_data_uri_holds_the_bytes() -> None:
    assert base64.b64decode(data_uri(b"\xff\xd8x").removeprefix("data:image/jpeg;base64,")) == b"\xff\xd8x"
