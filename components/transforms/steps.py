"""Small frozen steps. Each has `apply`, and `inverse` where one exists; numpy only."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Overflow = Literal["refuse", "warn"]

PADDING_ID = 0
UNKNOWN_ID = 1
UNKNOWN_WORD = "<unknown>"
_FIRST_WORD_ID = 2
# A robot that reads noise aloud must not fill memory.
_STRANGE_KEPT = 1000
_SHORTEST, _LENGTH_STEP = 16, 8
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

log = logging.getLogger("gripline")


def require_finite(name: str, values: npt.NDArray[np.floating], names: Sequence[str]) -> None:
    """Raises `ContractError` that names the first dimension (last axis) holding NaN or infinity."""
    bad = ~np.isfinite(values)
    if bad.any():
        index = int(np.argwhere(bad)[0][-1])
        raise ContractError(f"{name} {names[index]} is {values[bad][0]}", hint="A finite number is needed")


@dataclass(frozen=True)
class ResizeImages:
    """Brings square or other images to [px, px] with a triangle filter (antialiased where it shrinks)."""

    px: int

    def apply(self, images: Images) -> Images:
        """uint8 [B, H, W, 3] -> uint8 [B, px, px, 3]; the same array where the size is right already."""
        height, width = images.shape[1:3]
        if (height, width) == (self.px, self.px):
            return images
        tall = _weighted(images, _triangle_taps(height, self.px), axis=1)
        wide = _weighted(tall, _triangle_taps(width, self.px), axis=2)
        return np.clip(np.rint(wide), 0, 255).astype(np.uint8)


# Per tap k and target pixel t: which source pixel, and its share.
_Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]


@lru_cache(maxsize=16)
def _triangle_taps(size: int, target: int) -> _Taps:
    """Both [K, target]; the shares of a target pixel sum to 1, and K is as small as the filter is wide."""
    scale = size / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale - 0.5
    taps = np.floor(centres - support).astype(np.intp) + np.arange(2 + 2 * int(np.ceil(support)))[:, None]
    weights = np.clip(1.0 - np.abs(taps - centres) / support, 0.0, None) * ((taps >= 0) & (taps < size))
    used = weights.any(axis=1)
    return np.clip(taps[used], 0, size - 1), (weights[used] / weights.sum(axis=0)).astype(np.float32)


def _weighted(images: npt.NDArray[Any], taps: _Taps, *, axis: int) -> npt.NDArray[np.float32]:
    """float32 [B, H, W, 3] with `axis` resampled. One tap after the other: a few passes, whatever the size was."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    sources, weights = taps
    total = np.take(images, sources[0], axis) * weights[0].reshape(shape)
    for source, weight in zip(sources[1:], weights[1:], strict=True):
        total += np.take(images, source, axis) * weight.reshape(shape)
    return total


@dataclass(frozen=True)
class CameraOrder:
    """Stacks a mapping of cameras into one array in the order in which the policy takes them, and back."""

    cameras: tuple[str, ...]

    def apply(self, images: Mapping[str, Images]) -> Images:
        """{camera: uint8 [B, H, W, 3]} -> uint8 [B, K, H, W, 3]."""
        return np.ascontiguousarray(np.stack([images[camera] for camera in self.cameras], axis=1))

    def inverse(self, stacked: Images) -> dict[str, Images]:
        return {camera: stacked[:, index] for index, camera in enumerate(self.cameras)}


@dataclass(frozen=True)
class Normalise:
    """(x - mean) / max(std, epsilon): a dimension that never moved in the data does not explode when it does."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ContractError(f"mean has {len(self.mean)} dimensions and std has {len(self.std)}")
        if not np.isfinite((*self.mean, *self.std)).all() or min(self.std, default=0.0) < 0:
            raise ContractError("mean and std must be finite and std not negative")
        if self.epsilon <= 0:
            raise ContractError(f"epsilon is {self.epsilon}, it must be above 0")

    @property
    def dim(self) -> int:
        return len(self.mean)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        return np.maximum(np.asarray(self.std, dtype=np.float64), self.epsilon)

    def apply(self, values: npt.NDArray[np.floating]) -> Floats:
        """[..., D] -> float32 [..., D]; computed in float64. What float32 cannot hold becomes infinite."""
        with np.errstate(over="ignore"):
            return ((np.asarray(values, dtype=np.float64) - self.mean) / self.scale).astype(np.float32)

    def inverse(self, values: npt.NDArray[np.floating]) -> Floats:
        return (np.asarray(values, dtype=np.float64) * self.scale + self.mean).astype(np.float32)


@dataclass(frozen=True)
class Bounds:
    """Physical [low, high] <-> [-1, 1], per dimension."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high):
            raise ContractError(f"low has {len(self.low)} dimensions and high has {len(self.high)}")
        for index, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ContractError(f"limits of dimension {index} are {low} and {high}; low must be below high")

    def apply(self, values: npt.NDArray[np.floating]) -> Floats:
        """[..., D] physical -> float32 [..., D]; what lies outside the limits lands outside [-1, 1]."""
        low, high = np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)
        return ((np.asarray(values, dtype=np.float64) - low) / (high - low) * 2.0 - 1.0).astype(np.float32)

    def inverse(self, values: npt.NDArray[np.floating]) -> Floats:
        low, high = np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)
        return ((np.asarray(values, dtype=np.float64) + 1.0) * 0.5 * (high - low) + low).astype(np.float32)


@dataclass(frozen=True)
class Clamp:
    """Cuts to [low, high]; it has no inverse."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @cached_property
    def _limits(self) -> tuple[Floats, Floats]:
        # A limit that float32 cannot hold is rounded inwards, so that no output exceeds the limit as it was written.
        low, high = np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)
        low32, high32 = low.astype(np.float32), high.astype(np.float32)
        low32 = np.where(low32 < low, np.nextafter(low32, np.float32(np.inf)), low32)
        high32 = np.where(high32 > high, np.nextafter(high32, np.float32(-np.inf)), high32)
        return low32, high32

    def apply(self, values: npt.NDArray[np.floating]) -> Floats:
        """[..., D] -> float32 [..., D] within the limits. NaN stays NaN; refuse it before."""
        with np.errstate(over="ignore"):
            return np.clip(np.asarray(values).astype(np.float32), *self._limits)


@dataclass(frozen=True)
class WordTokens:
    """Lower-case words to numbers: 0 is padding, 1 a word outside the vocabulary, the others count from 2.

    `overflow` says what becomes of an instruction of more than `length` words: "refuse" raises `ContractError`, "warn"
    drops the last words and logs which. An instruction without a word is refused, as a fully padded row has no meaning,
    unless the policy reads none (`wordless`). A word outside the vocabulary is logged once, when it is first met.
    """

    vocabulary: tuple[str, ...]
    length: int
    overflow: Overflow = "refuse"
    wordless: bool = False
    _ids: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _strange: dict[str, None] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ContractError("a word stands twice in the vocabulary")
        if self.length < 1:
            raise ContractError(f"token length is {self.length}, it must be at least 1")
        if self.overflow not in get_args(Overflow):
            raise ContractError(f"overflow is {self.overflow!r}, it must be one of {', '.join(get_args(Overflow))}")
        self._ids.update({word: _FIRST_WORD_ID + index for index, word in enumerate(self.vocabulary)})

    @property
    def vocab_size(self) -> int:
        """Rows that an embedding table needs, padding and unknown included."""
        return _FIRST_WORD_ID + len(self.vocabulary)

    def apply(self, instructions: Sequence[str]) -> Ints:
        """B instructions -> int64 [B, length]."""
        tokens = np.full((len(instructions), self.length), PADDING_ID, dtype=np.int64)
        for row, instruction in enumerate(instructions):
            found = self._cut(instruction, split_words(instruction))
            self._report(instruction, found)
            tokens[row, : len(found)] = [self._ids.get(word, UNKNOWN_ID) for word in found]
        return tokens

    @property
    def strange_words(self) -> tuple[str, ...]:
        """Words outside the vocabulary that instructions held so far, at most 1,000 of them."""
        return tuple(self._strange)

    def inverse(self, tokens: Ints) -> list[str]:
        """int64 [B, length] -> words joined by spaces; words outside the vocabulary come back as <unknown>."""
        known = {UNKNOWN_ID: UNKNOWN_WORD} | {number: word for word, number in self._ids.items()}
        return [" ".join(known[int(number)] for number in row if number != PADDING_ID) for row in tokens]

    def _report(self, instruction: str, found: list[str]) -> None:
        new = [word for word in dict.fromkeys(found) if word not in self._ids and word not in self._strange]
        if new and not self.wordless and len(self._strange) < _STRANGE_KEPT:
            self._strange.update(dict.fromkeys(new))
            log.warning(
                "no training episode held %s of %r; the policy takes %s for an unknown word",
                ", ".join(map(repr, new)),
                instruction,
                "it" if len(new) == 1 else "each",
            )

    def _cut(self, instruction: str, found: list[str]) -> list[str]:
        if not found and not self.wordless:
            raise ContractError(f"instruction {instruction!r} holds no word", hint="Say what the robot should do")
        if len(found) <= self.length:
            return found
        message = f"instruction of {len(found)} words, the policy takes {self.length}: {instruction!r}"
        if self.overflow == "refuse":
            raise ContractError(message, hint="Shorten it, or train with a longer text length")
        log.warning("%s; dropped %s", message, " ".join(found[self.length :]))
        return found[: self.length]


def length_for(instructions: Sequence[str]) -> int:
    """Tokens that the longest instruction needs: the next multiple of 8, at least 16."""
    longest = max((len(split_words(instruction)) for instruction in instructions), default=0)
    return max(_SHORTEST, -(-longest // _LENGTH_STEP) * _LENGTH_STEP)


def split_words(text: str) -> list[str]:
    """Lower-case words; punctuation and underscores separate."""
    return _WORD.findall(text.lower())


def vocabulary_of(instructions: Sequence[str]) -> tuple[str, ...]:
    """Every word of the instructions once, sorted: the same set of instructions gives the same numbers."""
    return tuple(sorted({word for instruction in instructions for word in split_words(instruction)}))
