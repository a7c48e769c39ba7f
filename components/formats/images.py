"""Camera frames as arrays: decoded only when somebody looks at them."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.core.errors import EpisodeError

Frame = npt.NDArray[np.uint8]

_FORMATS = ("JPEG", "PNG")
# A camera frame above this is a damaged header, not a picture.
_MAX_PIXELS = 64_000_000


def decode_image(frame: Frame | bytes, *, where: str) -> Frame:
    """uint8 [H, W, 3] RGB from an array (as it is) or from JPEG/PNG bytes. Raises `EpisodeError` (bad_image)."""
    if isinstance(frame, np.ndarray):
        return frame
    try:
        with Image.open(io.BytesIO(frame), formats=_FORMATS) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"))
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more on damaged bytes.
    except Exception as error:
        raise EpisodeError(f"a camera frame cannot be decoded ({error})", where=where, code="bad_image") from error
