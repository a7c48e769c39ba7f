from __future__ import annotations

import io
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from components.core.errors import EpisodeError
from components.formats.images import decode_image


def test_arrays_pass_and_png_comes_back_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    assert decode_image(image, where="a") is image
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), where="a"), image)


def test_grey_pictures_become_rgb() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), where="a"), np.full((4, 4, 3), 9, np.uint8))


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


def test_half_a_jpeg_is_refused(recordings: ModuleType) -> None:
    whole = recordings.encode_jpeg(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    with pytest.raises(EpisodeError, match="truncated"):
        decode_image(whole[: len(whole) // 2], where="a")
