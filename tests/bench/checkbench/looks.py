"""Faults of pictures. `docs/checks.md` says what each does and how strongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from checkbench.parts import Picture, Rng, cameras, part_of, pick, pictures, run_of, shown, sign, span_ns, with_stream
from components.core.episode import Episode, Stream

# A picture taken with the cap on: what is left of 0..255 is 0..3.
_DARK_SHIFT = 6


def frozen_camera(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    name = pick(rng, cameras(episode))
    total = len(episode.stream(name))
    last = max(0, total - part_of((0.2, 0.4, 0.8)[strength], total) - 1)
    return shown(episode, name, np.minimum(np.arange(total), last))


def black_frames(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    name = pick(rng, cameras(episode))
    seen = pictures(episode, name)
    where = run_of(rng, part_of((0.1, 0.2, 0.4)[strength], len(seen)), len(seen))
    seen[where] = [picture >> _DARK_SHIFT for picture in seen[where]]
    return with_stream(episode, name, values=seen)


def blurred(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    share = (0.01, 0.02, 0.04)[strength]

    def blur(picture: Picture) -> Picture:
        return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(share * picture.shape[1])))

    return _all(episode, pick(rng, cameras(episode)), blur)


def exposure(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """So many times the light falls on the sensor; the picture holds its sRGB values."""
    name, stops = pick(rng, cameras(episode)), sign(rng) * (1, 2, 3)[strength]
    shade = np.arange(256) / 255.0
    light = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    light = np.clip(light * 2.0**stops, 0.0, 1.0)
    shade = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    exposed = np.rint(shade * 255.0).astype(np.uint8)
    return _all(episode, name, lambda picture: exposed[picture])


def duplicate_frames(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """Some pictures come a second time in place of the next one; no picture comes three times."""
    name = pick(rng, cameras(episode))
    total = len(episode.stream(name))
    count = min(part_of((0.1, 0.25, 0.5)[strength], total), total // 2)
    # Drawn among fewer places and spread out, so that no two replaced pictures follow one another.
    replaced = 1 + np.sort(rng.choice(total - count, count, replace=False)) + np.arange(count)
    indices = np.arange(total)
    indices[replaced] -= 1
    return shown(episode, name, indices)


def camera_swapped(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """From a moment on each of two cameras sends under the name of the other, pictures and stamps."""
    one, other = (episode.stream(name) for name in cameras(episode)[:2])
    start, end = span_ns(episode)
    since = end - (0.5, 0.75, 1.0)[strength] * (end - start)
    swapped = {one.name: _followed(one, other, since), other.name: _followed(other, one, since)}
    return replace(episode, streams={**episode.streams, **swapped})


def _followed(stream: Stream, by: Stream, since_ns: float) -> Stream:
    """Samples of `stream` before a time, and those of `by` from it on."""
    before, after = stream.time_ns < since_ns, by.time_ns >= since_ns
    values = [stream.values[number] for number in np.flatnonzero(before)]
    values += [by.values[number] for number in np.flatnonzero(after)]
    return replace(stream, time_ns=np.concatenate([stream.time_ns[before], by.time_ns[after]]), values=values)


def _all(episode: Episode, name: str, change: Callable[[Picture], Picture]) -> Episode:
    return with_stream(episode, name, values=[change(picture) for picture in pictures(episode, name)])
