"""What a camera might have seen instead: shifted a little, lit a little differently. Bytes in, bytes out.

The pixels stay uint8, so that the policy scales them in one place whether it trains or acts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.core.errors import ParamsError
from components.core.params import Train

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Light is fixed-point arithmetic in 16 bits, several times faster than float here: (pixel * factor + offset) >> 6.
_FRACTION_BITS = 6
_ONE = 1 << _FRACTION_BITS


@dataclass(frozen=True)
class Augmentation:
    """`shift_px`: at most so many pixels each way; `brightness`: factor in 1 +- this; `colour`: offset a channel, as a
    share of half the range; `state_noise`: standard deviation, in units of the normalised state.
    """

    shift_px: int
    brightness: float
    colour: float
    state_noise: float

    def __post_init__(self) -> None:
        if 1.0 + self.brightness + self.colour / 2 > 2.0:
            raise ParamsError(
                f"train.brightness {self.brightness} with train.colour {self.colour} is beyond 16-bit arithmetic",
                hint="Keep brightness + colour / 2 at 1 or less",
            )

    @classmethod
    def of(cls, params: Train) -> Augmentation:
        return cls(params.shift_px, params.brightness, params.colour, params.state_noise)

    def images(self, images: Images, generator: np.random.Generator) -> Images:
        """uint8 [B, K, H, W, 3] -> the same shape and type; every image of every camera draws its own change."""
        batch, cameras, height, width, _ = images.shape
        flat = images.reshape(batch * cameras, height, width, 3)
        shifts = generator.integers(-self.shift_px, self.shift_px + 1, size=(len(flat), 2))
        factors = 1.0 + generator.uniform(-self.brightness, self.brightness, size=len(flat))
        offsets = generator.uniform(-self.colour, self.colour, size=(len(flat), 3)) * 127.5
        factors = np.rint(factors * _ONE).astype(np.int16)
        rows = np.tile(np.rint(offsets * _ONE).astype(np.int16), width)
        out, work = np.empty_like(flat), np.empty((height, width * 3), np.int16)
        for index, image in enumerate(flat):
            _shift(image, out[index], *(int(value) for value in shifts[index]))
            _relight(out[index].reshape(height, width * 3), factors[index], rows[index], work)
        return out.reshape(images.shape)

    def state(self, state: Floats, generator: np.random.Generator) -> Floats:
        """float32 [B, S] normalised -> the same with Gaussian noise."""
        return state + self.state_noise * generator.standard_normal(state.shape, dtype=np.float32)


def _shift(image: Images, out: Images, down: int, right: int) -> None:
    """Moves `image` [H, W, 3] into `out`; what comes in at an edge repeats the edge."""
    height, width, _ = image.shape
    top, left = max(0, down), max(0, right)
    bottom, end = height + min(0, down), width + min(0, right)
    out[top:bottom, left:end] = image[top - down : bottom - down, left - right : end - right]
    out[:top, left:end] = out[top, left:end]
    out[bottom:, left:end] = out[bottom - 1, left:end]
    out[:, :left] = out[:, left : left + 1]
    out[:, end:] = out[:, end - 1 : end]


def _relight(rows: Images, factor: np.int16, offset: npt.NDArray[np.int16], work: npt.NDArray[np.int16]) -> None:
    """rows [H, W * 3] * factor + offset [W * 3], in place, cut to bytes; `work` is scratch of the same shape."""
    np.copyto(work, rows)
    np.multiply(work, factor, out=work)
    np.add(work, offset, out=work)
    np.right_shift(work, _FRACTION_BITS, out=work)
    np.clip(work, 0, 255, out=work)
    np.copyto(rows, work, casting="unsafe")
