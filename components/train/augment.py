"""What a camera might have seen instead: cropped and shifted a little, lit a little differently. Bytes in, bytes out.

The pixels stay uint8, so that the policy scales them in one place whether it trains or acts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.core.errors import ParamsError
from components.core.params import Train

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Light is fixed-point arithmetic in 16 bits, several times faster than float here: (pixel * factor + offset) >> 6.
_FRACTION_BITS = 6
_ONE = 1 << _FRACTION_BITS
# Rec. 601 luma in the same fixed point.
_LUMA = np.array([19, 38, 7], np.int16)


@dataclass(frozen=True)
class Augmentation:
    """Random crop and colour jitter of images, noise on states.

    `shift_px`: a crop of the image padded by repeating its edge: at most so many pixels each way (Yarats et al. 2021);
    `crop`: largest share of a side that a crop leaves out before it is scaled back; `brightness`, `contrast`,
    `saturation`: factor in 1 +- this; `colour`: offset a channel, as a share of half the range; `state_noise`: standard
    deviation, in units of the normalised state.
    """

    shift_px: int
    brightness: float
    colour: float
    state_noise: float
    crop: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        if (1.0 + self.brightness) * (1.0 + self.contrast) + self.colour / 2 + self.contrast / 2 > 2.0:
            raise ParamsError(
                f"train.brightness {self.brightness} with train.colour {self.colour} and train.contrast "
                f"{self.contrast} is beyond 16-bit arithmetic",
                hint="Keep brightness + contrast + colour / 2 well below 1",
            )

    @classmethod
    def of(cls, params: Train) -> Augmentation:
        return cls(
            params.shift_px,
            params.brightness,
            params.colour,
            params.state_noise,
            params.crop,
            params.contrast,
            params.saturation,
        )

    def images(self, images: Images, generator: np.random.Generator) -> Images:
        """uint8 [B, K, H, W, 3] -> the same shape and type; every image of every camera draws its own change."""
        batch, cameras, height, width, _ = images.shape
        flat = images.reshape(batch * cameras, height, width, 3)
        shifts = generator.integers(-self.shift_px, self.shift_px + 1, size=(len(flat), 2))
        factors = 1.0 + generator.uniform(-self.brightness, self.brightness, size=len(flat))
        offsets = generator.uniform(-self.colour, self.colour, size=(len(flat), 3)) * 127.5
        # These are drawn last: without them, a seed gives what it gave before there were any.
        crops = generator.uniform(0, 1, size=(len(flat), 3)) if self.crop else None
        contrasts = 1.0 + generator.uniform(-self.contrast, self.contrast, size=len(flat)) if self.contrast else None
        colours = (
            1.0 + generator.uniform(-self.saturation, self.saturation, size=len(flat)) if self.saturation else None
        )
        out, work = np.empty_like(flat), np.empty((height, width * 3), np.int16)
        for index, image in enumerate(flat):
            seen, lit = image if crops is None else _cropped(image, self.crop, *crops[index]), out[index]
            _shift(seen, lit, *shifts[index].tolist())
            if colours is not None:
                _saturate(lit, colours[index])
            if contrasts is not None:
                # (p * f - mean) * c + mean, mean being that of the lit image.
                offsets[index] += (1.0 - contrasts[index]) * factors[index] * lit.mean()
                factors[index] *= contrasts[index]
            _relight(lit.reshape(height, width * 3), factors[index], offsets[index], work)
        return out.reshape(images.shape)

    def state(self, state: Floats, generator: np.random.Generator) -> Floats:
        """float32 [B, S] normalised -> the same with Gaussian noise."""
        return state + self.state_noise * generator.standard_normal(state.shape, dtype=np.float32)


def _cropped(image: Images, most: float, side: float, down: float, right: float) -> Images:
    """A part of `image` [H, W, 3] at its size; `side`, `down`, `right`: where and how large, each in 0..1."""
    height, width, _ = image.shape
    share = 1.0 - most * side
    top, left = down * height * (1.0 - share), right * width * (1.0 - share)
    box = (left, top, left + width * share, top + height * share)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box))


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


def _saturate(image: Images, factor: float) -> None:
    """Moves colours of `image` [H, W, 3] away from grey, or towards it where `factor` is below 1, in place."""
    share = np.int16(np.rint(factor * _ONE))
    pixels = image.astype(np.int16)
    grey = ((pixels @ _LUMA) >> _FRACTION_BITS)[:, :, None]
    mixed = (pixels * share + grey * np.int16(_ONE - share)) >> _FRACTION_BITS
    np.copyto(image, np.clip(mixed, 0, 255), casting="unsafe")


def _relight(rows: Images, factor: float, offset: npt.NDArray[np.float64], work: npt.NDArray[np.int16]) -> None:
    """rows [H, W * 3] * factor + offset [3], in place, cut to bytes; `work` is scratch of the same shape."""
    tint = np.rint(offset * _ONE).astype(np.int16)
    np.copyto(work, rows)
    np.multiply(work, np.int16(np.rint(factor * _ONE)), out=work)
    np.add(work, np.broadcast_to(tint, (work.shape[1] // 3, 3)).reshape(-1), out=work)
    np.right_shift(work, _FRACTION_BITS, out=work)
    np.clip(work, 0, 255, out=work)
    np.copyto(rows, work, casting="unsafe")
