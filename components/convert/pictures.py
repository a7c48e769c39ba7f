"""Pictures as the bytes of a file format."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

# "png" keeps every pixel; "jpeg" takes a tenth of the room and does not.
Coding = Literal["png", "jpeg"]

JPEG_QUALITY = 95
# At level 1 an encoder of PNG is several times as fast as at its own level 6, for a few per cent more bytes.
_PNG_LEVEL = 1


def encoded(picture: npt.NDArray[Any], coding: Coding) -> bytes:
    """PNG or JPEG of uint8 [H, W, 3] RGB; of uint16 [H, W] always a 16-bit PNG. The same in, the same out."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    if coding == "png" or picture.dtype == np.uint16:
        image.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    else:
        # Without halving the resolution of colour.
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
