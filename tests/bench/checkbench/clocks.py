"""Faults of clocks and of streams as such. `docs/checks.md` says what each does and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from checkbench.parts import (
    ACTION,
    FRAME_NS,
    NUMERIC,
    Rng,
    cameras,
    kept,
    part_of,
    pick,
    pictures,
    run_of,
    sign,
    span_ns,
    used_streams,
    with_stream,
)
from components.core.episode import Episode

# What exporters fill in where there is no picture.
_PLACEHOLDERS = (0, 128, 255)


def missing_stream(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    share, seen = (0.25, 0.5, 1.0)[strength], sign(rng) > 0
    name = pick(rng, cameras(episode) if seen else NUMERIC)
    stream = episode.stream(name)
    left = len(stream) - part_of(share, len(stream))
    if seen:
        shown = pictures(episode, name)
        even = np.full_like(shown[0], pick(rng, _PLACEHOLDERS))
        return with_stream(episode, name, values=[*shown[:left], *[even] * (len(shown) - left)])
    rest = {other: held for other, held in episode.streams.items() if other != name}
    if left:
        rest[name] = kept(stream, np.arange(left))
    return replace(episode, streams=rest)


def dropped_frames(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """The ends stay: a stream that ends early is another fault."""
    name = pick(rng, used_streams(episode))
    stream = episode.stream(name)
    lost = min(part_of((0.1, 0.25, 0.5)[strength], len(stream)), len(stream) - 2)
    gone = 1 + rng.choice(len(stream) - 2, lost, replace=False)
    left = kept(stream, np.setdiff1d(np.arange(len(stream)), gone))
    return replace(episode, streams={**episode.streams, name: left})


def clock_backwards(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    back_ns = (20_000_000, 100_000_000, 400_000_000)[strength]
    middle = sum(span_ns(episode)) // 2
    for name, stream in episode.streams.items():
        time_ns = np.where(stream.time_ns > middle, stream.time_ns - back_ns, stream.time_ns)
        episode = with_stream(episode, name, time_ns=time_ns)
    return episode


def clock_stopped(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """A run of stamps repeats the one before it; then the clock tells the right time again."""
    name = pick(rng, used_streams(episode))
    time_ns = episode.stream(name).time_ns.copy()
    repeats = (1, part_of(0.05, len(time_ns)), part_of(0.2, len(time_ns)))[strength]
    where = run_of(rng, repeats, len(time_ns) - 1)
    time_ns[where.start + 1 : where.stop + 1] = time_ns[where.start]
    return with_stream(episode, name, time_ns=time_ns)


def clock_jitter(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    name = pick(rng, used_streams(episode))
    stream = episode.stream(name)
    away = rng.normal(0.0, (0.25, 0.5, 1.0)[strength] * 1e9 / stream.rate_hz, len(stream))
    return with_stream(episode, name, time_ns=stream.time_ns + np.rint(away).astype(np.int64))


def rate_mismatch(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    factor = (1.15, 1.5, 2.0)[strength] ** sign(rng)
    start, _ = span_ns(episode)
    for name, stream in episode.streams.items():
        time_ns = start + np.rint((stream.time_ns - start) * factor).astype(np.int64)
        episode = with_stream(episode, name, time_ns=time_ns)
    return episode


def stream_misaligned(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    late_ns = sign(rng) * (1, 2, 4)[strength] * FRAME_NS
    return with_stream(episode, ACTION, time_ns=episode.stream(ACTION).time_ns + late_ns)
