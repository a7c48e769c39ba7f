"""What the pictures of one camera look like, block by block of the decoder, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Blocks of this side: their means hardly feel the noise of sensor and codec, and feel anything that moves.
BLOCK_PX = 8
# Largest change (0..255) of a block's mean up to which two decoded pictures show the same. A codec that refines a still
# picture changes one by up to 0.7, a hand that moves by 14 and more.
SAME_PICTURE = 1.0
# Deviation (0..255) of the block means below which a picture shows nothing at all.
_EVEN = 2.0
_FILLED = 0.25
# Brightness at which a pixel is clipped, on either side.
_CLIPPED = (4, 251)
# Pictures of which fine detail is looked at, evenly over the episode.
_SAMPLES = 4
# Side of the mean picture that is kept, at most, in blocks.
_THUMB = 8
# Repeats in a row from which on a camera is frozen rather than slow.
STRETCH = 5
# Ticks with a moving hand below which nothing can be said about a frozen picture.
_FEW = 4


class CameraFacts:
    """Takes all frames of a camera and an episode, in blocks uint8 [n, H, W] of brightness as it is coded."""

    def __init__(self, length: int) -> None:
        self._stride = max(1, length // _SAMPLES)
        self._seen = 0
        self._light: list[Floats] = []
        self._spread: list[Floats] = []
        self._change: list[Floats] = []
        self._last: npt.NDArray[np.float32] | None = None
        self._sum: npt.NDArray[np.float64] = np.zeros(())
        self._detail: list[float] = []
        self._clipped: list[tuple[float, float]] = []

    def take(self, blocks: Iterable[npt.NDArray[np.uint8]], *, full_range: bool) -> None:
        for frames in blocks:
            self._add(frames, full_range)

    def _add(self, frames: npt.NDArray[np.uint8], full_range: bool) -> None:
        grids = block_means(frames)
        if not full_range:
            grids = (grids - 16.0) * np.float32(255 / 219)
        flat = grids.reshape(len(grids), -1)
        self._light.append(flat.mean(axis=1, dtype=np.float64))
        self._spread.append(flat.std(axis=1, dtype=np.float64))
        chain = flat if self._last is None else np.concatenate([self._last, flat])
        self._change.append(np.abs(np.diff(chain, axis=0)).max(axis=1).astype(np.float64))
        self._last = flat[-1:]
        self._sum = self._sum + grids.sum(axis=0, dtype=np.float64)
        for place in range(-self._seen % self._stride, len(frames), self._stride):
            self._look_closely(frames[place], full_range)
        self._seen += len(frames)

    def _look_closely(self, frame: npt.NDArray[np.uint8], full_range: bool) -> None:
        self._detail.append(detail(frame))
        dark, bright = _CLIPPED if full_range else (16 + _CLIPPED[0], 235 - (255 - _CLIPPED[1]))
        self._clipped.append((float((frame <= dark).mean()), float((frame >= bright).mean())))

    def facts(self, moving: npt.NDArray[np.bool_], black_level: float) -> dict[str, float]:
        """`moving` [T - 1]: whether the hand moves from each tick to the next."""
        light, change = np.concatenate(self._light), np.concatenate(self._change)
        dark = light < black_level
        frozen, repeated = still_shares(change <= SAME_PICTURE, moving, ~(dark[:-1] & dark[1:]))
        spread = np.concatenate(self._spread)
        # What a dark scene shows is never quite even; what an exporter fills in for a missing camera is.
        even = spread < np.where(dark, _FILLED, _EVEN)
        clipped = np.array(self._clipped)
        return {
            "frozen_share": frozen,
            "repeated_share": repeated,
            "black_share": float(dark.mean()),
            "even_share": float(even.mean()),
            "brightness": float(light.mean()),
            "detail": float(np.median(self._detail)),
            "clipped_dark": float(clipped[:, 0].mean()),
            "clipped_bright": float(clipped[:, 1].mean()),
        }

    def thumb(self) -> npt.NDArray[np.float64]:
        """The mean picture as a few numbers, row by row."""
        mean = self._sum / max(1, self._seen)
        width = -(-max(mean.shape) // _THUMB)
        rows, columns = mean.shape[0] // width, mean.shape[1] // width
        pooled = mean[: rows * width, : columns * width].reshape(rows, width, columns, width).mean(axis=(1, 3))
        return pooled.ravel()


def block_means(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """float32 [n, h, w] of uint8 [n, H, W]. What is left over at the right and at the bottom is not looked at.

    Sums row by row and then column by column: numpy is several times slower at whole axes.
    """
    count, height, width = frames.shape
    side = min(BLOCK_PX, height, width)
    rows, columns = height // side, width // side
    tall = frames[:, : rows * side, : columns * side].reshape(count, rows, side, columns * side)
    total = tall[:, :, 0].astype(np.uint16)
    for line in range(1, side):
        total += tall[:, :, line]
    wide = total.reshape(count, rows, columns, side)
    sums = wide[..., 0].copy()
    for line in range(1, side):
        sums += wide[..., line]
    return sums.astype(np.float32) / np.float32(side * side)


def detail(frame: npt.NDArray[np.uint8]) -> float:
    """How much of the contrast of uint8 [H, W] is finer than three pixels: 0 where the picture is even or soft.

    A picture without a pixel between others has no detail.
    """
    if min(frame.shape) < 3:
        return 0.0
    pixels = frame.astype(np.float32)
    fine = pixels[1:-1, 1:-1] - 0.25 * (pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:])
    contrast = float(pixels.std())
    return float(fine.std()) / contrast if contrast > 1.0 else 0.0


def still_shares(
    same: npt.NDArray[np.bool_], moving: npt.NDArray[np.bool_], lit: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Of the ticks in which the hand moves: those of the longest stretch of one picture, and those of short ones.

    Two black pictures in a row are the fault of the light. (0, 0) where the hand hardly moves.
    """
    total = int(moving.sum())
    if total < _FEW:
        return 0.0, 0.0
    stretch = np.cumsum(~same)
    ticks, seen = np.bincount(stretch, weights=same), np.bincount(stretch, weights=same & moving & lit)
    return float(seen.max()) / total, float(seen[ticks < STRETCH].sum()) / total
