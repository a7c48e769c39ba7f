from __future__ import annotations

import io
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from components.core.errors import EpisodeError
from components.formats.images import decode_depth, decode_image, oriented
from components.formats.mapping import StreamRule


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
DEPTH = np.random.default_rng(0).integers(0, 65535, (5, 7), dtype=np.uint16)


def test_arrays_pass_and_png_comes_back_exactly() -> None:
    assert decode_image(IMAGE, where="a") is IMAGE
    np.testing.assert_array_equal(decode_image(png(IMAGE), where="a"), IMAGE)
    assert decode_depth(DEPTH, where="a") is DEPTH
    np.testing.assert_array_equal(decode_depth(png(DEPTH), where="a"), DEPTH)


def test_grey_pictures_become_rgb() -> None:
    grey = png(np.full((4, 4), 9, np.uint8))
    np.testing.assert_array_equal(decode_image(grey, where="a"), np.full((4, 4, 3), 9, np.uint8))


def _huge() -> bytes:
    """PNG header that promises more pixels than any camera has."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8\xff", b"GIF89a", _huge()], ids=["empty", "cut", "gif", "huge"])
def test_damaged_pictures_are_refused(frame: bytes) -> None:
    with pytest.raises(EpisodeError, match=r"a\.mcap: a camera frame cannot be decoded") as caught:
        decode_image(frame, where="a.mcap")
    assert caught.value.code == "bad_image"
    with pytest.raises(EpisodeError, match=r"a\.mcap: a depth frame cannot be decoded") as caught:
        decode_depth(frame, where="a.mcap")
    assert caught.value.code == "bad_image"


def test_eight_bits_are_no_depth() -> None:
    with pytest.raises(EpisodeError, match="mode L"):
        decode_depth(png(np.zeros((4, 4), np.uint8)), where="a")


def test_half_a_jpeg_is_refused(recordings: ModuleType) -> None:
    whole = recordings.encode_jpeg(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    with pytest.raises(EpisodeError, match="truncated"):
        decode_image(whole[: len(whole) // 2], where="a")


def rule(kind: str, **more: object) -> StreamRule:
    return StreamRule.model_validate({"from": "x", "kind": kind, **more})


def test_pictures_are_turned_only_where_a_rule_asks_for_it() -> None:
    frames = [IMAGE, png(IMAGE)]
    assert oriented(frames, rule("image"), where="a") is frames
    depth = [DEPTH]
    assert oriented(depth, rule("depth", order="bgr"), where="a") is depth
    flipped = oriented(frames, rule("image", flip=True), where="a")
    assert len(flipped) == 2
    for index in range(2):
        np.testing.assert_array_equal(flipped[index], IMAGE[::-1])
    np.testing.assert_array_equal(oriented(depth, rule("depth", flip=True), where="a")[0], DEPTH[::-1])


def test_the_order_of_colours_concerns_raw_arrays() -> None:
    frames = oriented([IMAGE, png(IMAGE)], rule("image", order="bgr"), where="a")
    np.testing.assert_array_equal(frames[0], IMAGE[..., ::-1])
    np.testing.assert_array_equal(frames[1], IMAGE)
