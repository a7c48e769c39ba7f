"""Faults of a demonstration as a whole. `docs/checks.md` says what each does and how strongly."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from PIL import Image

from checkbench.parts import (
    ACTION,
    ARM,
    EXECUTED,
    FRAME_NS,
    HAND,
    NUMERIC,
    Rng,
    between,
    cameras,
    first_tick_ns,
    numbers,
    pictures,
    shown,
    span_ns,
    with_stream,
)
from components.core.episode import PICTURES, Episode, Stream, episode_id
from components.formats.lazy import FrameView

# After the last tick that is to be left: late enough for every stream to reach it, too early for the next command.
_TICK_MARGIN_NS = 16_000_000
_COPY_JPEG_QUALITY = 60


def too_short(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """The recorder stops early."""
    first, (start, _) = first_tick_ns(episode), span_ns(episode)
    return between(episode, start, first + ((7, 5, 3)[strength] - 1) * FRAME_NS + _TICK_MARGIN_NS)


def idle(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """All motion is that much smaller; the cameras show the scene as it was at first."""
    hand = numbers(episode, HAND)
    reach = float(np.linalg.norm(hand - hand[0], axis=1).max())
    factor = min(1.0, (0.015, 0.010, 0.0)[strength] / max(reach, 1e-12))
    for name in (*NUMERIC, EXECUTED):
        values = numbers(episode, name)
        still = values[0].copy()
        if name in (ACTION, EXECUTED):
            still[:ARM] = 0.0
        episode = with_stream(episode, name, values=still + factor * (values - still))
    for name in cameras(episode):
        episode = shown(episode, name, np.zeros(len(episode.stream(name)), np.int64))
    return episode


def outlier_episode(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """The same way at the same rates in so many times the time; steps of the arm are that much smaller."""
    start, _ = span_ns(episode)
    streams = {name: _slower(stream, (2, 4, 8)[strength], start) for name, stream in episode.streams.items()}
    return replace(episode, streams=streams)


def _slower(stream: Stream, factor: int, start_ns: int) -> Stream:
    was_ns = start_ns + (stream.time_ns - start_ns) * factor
    period_ns = float(np.ptp(stream.time_ns)) / max(1, len(stream) - 1)
    time_ns = was_ns[0] + np.rint(np.arange(factor * (len(stream) - 1) + 1) * period_ns).astype(np.int64)
    if stream.kind in PICTURES:
        nearest = np.rint(np.interp(time_ns - start_ns, was_ns - start_ns, np.arange(len(stream)))).astype(np.int64)
        return replace(stream, time_ns=time_ns, values=FrameView(stream.values, nearest.tolist()))
    columns = np.asarray(stream.values, dtype=np.float64).T
    values = np.stack([np.interp(time_ns - start_ns, was_ns - start_ns, column) for column in columns], axis=1)
    if stream.kind == "action":
        values[:, :ARM] /= factor
    return replace(stream, time_ns=time_ns, values=values)


def copied(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """Another file of a later day with the same recording: its start is trimmed, its video is encoded again.

    It carries an id of its own: by that of its samples ingest would know an untrimmed copy and leave it out.
    """
    start, end = span_ns(episode)
    copy = between(episode, start + (0.5, 0.2, 0.0)[strength] * (end - start), end)
    for name in cameras(copy):
        copy = with_stream(copy, name, values=[_jpeg(picture) for picture in pictures(copy, name)])
    source = episode.provenance
    later = (datetime.fromisoformat(source.recorded_at) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    own_id = hashlib.sha256(f"copy of {episode_id(episode)}".encode()).hexdigest()
    renamed = copy.with_provenance(source_uri=f"copies/{source.source_uri}", recorded_at=later)
    return replace(renamed, carried_id=own_id)


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_COPY_JPEG_QUALITY)
    return buffer.getvalue()
