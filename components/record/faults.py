"""What goes wrong in real recordings, done to good ones: one fault an episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.core.episode import Episode, Stream
from components.core.errors import UsageError

_JUMP_M = 0.3
_STEP_BACK_NS = 400_000_000
# Where in the episode a fault that lasts until its end begins.
_FREEZE_AT = 0.2
_SENSOR = "hand"
_CAMERA = "fixed"


def apply_fault(episode: Episode, fault: str, rng: np.random.Generator) -> Episode:
    """Returns `episode` with `fault`; unchanged for "" and for faults of the whole file or of the run itself."""
    if fault in ("", "idle", "truncated"):
        return episode
    if fault not in _FAULTS:
        raise UsageError(f"no fault {fault!r}", hint=f"Known: {', '.join(sorted(_FAULTS))}")
    return _FAULTS[fault](episode, rng)


def truncate(data: bytes) -> bytes:
    """What is left when the recorder lost power: the file ends in the middle, without its index."""
    return data[: int(len(data) * 0.6)]


def _nan(episode: Episode, rng: np.random.Generator) -> Episode:
    """The pose estimate is lost for a fifth of the episode."""
    values = np.array(episode.stream(_SENSOR).values)
    first = int(rng.integers(len(values) // 5, len(values) // 2))
    values[first : first + max(1, len(values) // 5)] = np.nan
    return _with(episode, _SENSOR, values=values)


def _frozen_camera(episode: Episode, rng: np.random.Generator) -> Episode:
    """The driver keeps sending its last frame, with fresh timestamps."""
    images = _images(episode)
    last = int(len(images) * _FREEZE_AT)
    return _with(episode, _CAMERA, values=images[: last + 1] + [images[last]] * (len(images) - last - 1))


def _black_frames(episode: Episode, rng: np.random.Generator) -> Episode:
    """The exposure collapses for two fifths of the episode."""
    images = _images(episode)
    count = max(1, len(images) * 2 // 5)
    first = int(rng.integers(0, len(images) - count + 1))
    black = [np.zeros_like(images[0])] * count
    return _with(episode, _CAMERA, values=images[:first] + black + images[first + count :])


def _clock_backwards(episode: Episode, rng: np.random.Generator) -> Episode:
    """The host's clock is set back in the middle: every stream of the episode."""
    start = min(int(stream.time_ns[0]) for stream in episode.streams.values())
    end = max(int(stream.time_ns[-1]) for stream in episode.streams.values())
    middle = (start + end) // 2
    for name, stream in episode.streams.items():
        time = np.where(stream.time_ns > middle, stream.time_ns - _STEP_BACK_NS, stream.time_ns)
        episode = _with(episode, name, time_ns=time)
    return episode


def _state_jump(episode: Episode, rng: np.random.Generator) -> Episode:
    """An encoder loses its reference: the hand is elsewhere from one sample to the next."""
    values = np.array(episode.stream(_SENSOR).values)
    values[int(rng.integers(len(values) // 3, 2 * len(values) // 3)) :, 0] += _JUMP_M
    return _with(episode, _SENSOR, values=values)


def _missing_language(episode: Episode, rng: np.random.Generator) -> Episode:
    """Nobody entered what the robot was told."""
    return replace(episode, instruction="")


def _dropped_frames(episode: Episode, rng: np.random.Generator) -> Episode:
    """Two frames in five are lost. On one shared clock the rows are lost, else the messages of one camera."""
    camera = episode.stream(_CAMERA)
    keep = rng.random(len(camera)) >= 0.4
    keep[[0, -1]] = True
    shared = all(np.array_equal(stream.time_ns, camera.time_ns) for stream in episode.streams.values())
    for name in list(episode.streams) if shared else [_CAMERA]:
        stream = episode.streams[name]
        kept = [value for value, wanted in zip(stream.values, keep, strict=True) if wanted]
        values = kept if stream.kind == "image" else np.array(kept)
        episode = _with(episode, name, time_ns=stream.time_ns[keep], values=values)
    return episode


_FAULTS: dict[str, Callable[[Episode, np.random.Generator], Episode]] = {
    "nan": _nan,
    "frozen_camera": _frozen_camera,
    "black_frames": _black_frames,
    "clock_backwards": _clock_backwards,
    "state_jump": _state_jump,
    "missing_language": _missing_language,
    "dropped_frames": _dropped_frames,
}


def _images(episode: Episode) -> list[npt.NDArray[np.uint8]]:
    return [np.asarray(image, np.uint8) for image in episode.stream(_CAMERA).values if not isinstance(image, bytes)]


def _with(episode: Episode, name: str, **changes: object) -> Episode:
    changed: Stream = replace(episode.stream(name), **changes)  # type: ignore[arg-type]
    return replace(episode, streams={**episode.streams, name: changed})
