"""What the stamps of the recorded streams say: gaps, steps back, jitter, rates, and streams that are not there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.checks.own.rows import Floats, Rows

# Up to this std(dt) / median(dt) a stream ticks evenly.
_EVEN = 0.2
# A stream that this share of the episodes of a format have is missing where it is not.
EXPECTED = 0.5


class _Streams:
    """All rows of all episodes, one after the other; `owner` [M]: the episode of each."""

    def __init__(self, rows: Rows) -> None:
        lists = rows.table["streams"].combine_chunks()
        flat = lists.flatten()
        # Who controls the robot is said only when it changes: such a stream has no rate and need not be there.
        sampled = pc.not_equal(flat.field("kind"), "control")
        self.owner = pc.list_parent_indices(lists).filter(sampled).to_numpy().astype(np.int64)
        flat = flat.filter(sampled)
        self.episodes = len(rows)
        self._facts = {field.name: flat.field(number) for number, field in enumerate(flat.type)}
        self.kind = np.array(self._facts["kind"].to_pylist(), object)
        names = pa.array(self._facts["stream"]).dictionary_encode()
        self.names, self.name = names.dictionary.to_pylist(), names.indices.to_numpy()
        formats = pc.fill_null(rows.table["source_format"], "").combine_chunks().dictionary_encode()
        self.format = formats.indices.to_numpy()

    def number(self, name: str) -> Floats:
        """[M]; 0 where it is null or not finite."""
        values = np.asarray(self._facts[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        return np.where(np.isfinite(values), values, 0.0)

    def worst(self, values: Floats) -> Floats:
        """[N]: the largest of each episode; 0 where it has no stream."""
        found = np.zeros(self.episodes)
        np.maximum.at(found, self.owner, values)
        return found

    def total(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.owner, weights=values, minlength=self.episodes), np.float64)


def clocks(rows: Rows, fps: float) -> dict[str, Floats]:
    """Columns [N] of the worst stream of each episode, and of the ticks of the dataset.

    `misalignment_ms`: from a tick to what was used for it; a measured value is held until the next one, so for a state
    stream the first period is none.
    """
    streams = _Streams(rows)
    rate_hz = streams.number("rate_hz")
    held_ms = np.where(np.isin(streams.kind, ("state", "force")) & (rate_hz > 0), 1000.0 / np.maximum(rate_hz, 1e-9), 0)
    action_hz = _action_rate(streams, rate_hz, rows.number("tick_rate_hz"))
    return {
        "nan_count": rows.number("nan_count") + streams.total(streams.number("nan_count")),
        "clock_backwards": rows.number("ticks_backwards") + streams.total(streams.number("backwards")),
        "clock_stopped": rows.number("ticks_stopped") + streams.total(streams.number("duplicates")),
        "clock_jitter": streams.worst(streams.number("jitter")),
        "max_gap_s": streams.worst(streams.number("max_gap_s")),
        "dropped_share": streams.worst(_dropped(streams, rate_hz)),
        "misalignment_ms": streams.worst(np.maximum(0.0, streams.number("worst_misalignment_ms") - held_ms)),
        "action_rate_hz": action_hz,
        "rate_error": np.maximum(
            np.abs(action_hz / rows.body.action.rate_hz - 1.0), np.abs(rows.number("tick_rate_hz") / fps - 1.0)
        ),
        **_missing(streams, rows),
    }


def _action_rate(streams: _Streams, rate_hz: Floats, ticks_hz: Floats) -> Floats:
    """Median rate of the commands; of the ticks where no action stream is listed."""
    found = np.full(streams.episodes, np.inf)
    is_action = streams.kind == "action"
    np.minimum.at(found, streams.owner[is_action], rate_hz[is_action])
    return np.where(np.isfinite(found), found, ticks_hz)


def _dropped(streams: _Streams, rate_hz: Floats) -> Floats:
    """[M]: share of the samples missing that the rate promises, or of the time in the longest gap.

    The rate is the stream's own median. Where much is lost, so is the median step: for one that ticks unevenly it is
    at least what such streams have elsewhere.
    """
    count, duration_s = streams.number("count"), streams.number("duration_s")
    known = (rate_hz > 0) & (duration_s > 0)
    nominal = np.maximum(rate_hz, _nominal(streams, rate_hz))
    rate = np.where(known, np.where(streams.number("jitter") > _EVEN, nominal, rate_hz), 1.0)
    span = np.where(known, duration_s, 1.0)
    missing = 1.0 - count / (span * rate + 1.0)
    gap = (streams.number("max_gap_s") - 1.0 / rate) / span
    # One sample, or samples of one instant: nothing can be told but that there is next to nothing.
    return np.where(known, np.clip(np.maximum(missing, gap), 0.0, 1.0), np.where(count < 2, 1.0, 0.0))


def _nominal(streams: _Streams, rate_hz: Floats) -> Floats:
    """[M]: median over the dataset of the rate of streams of this name in this format."""
    key = streams.format[streams.owner].astype(np.int64) * max(1, len(streams.names)) + streams.name
    found = np.zeros(len(key))
    for each in np.unique(key):
        found[key == each] = np.median(rate_hz[key == each])
    return found


def _missing(streams: _Streams, rows: Rows) -> dict[str, Floats]:
    """Streams that episodes of this format have and this one lacks; the share of its time for which one is gone."""
    count = len(streams.names)
    has = np.zeros((streams.episodes, count), bool)
    filled = streams.number("count") > 0
    has[streams.owner[filled], streams.name[filled]] = True
    expected = np.zeros_like(has)
    for each in np.unique(streams.format):
        of_format = streams.format == each
        expected[of_format] = has[of_format].mean(axis=0) >= EXPECTED
    begin_s, duration_s = streams.number("start_offset_s"), streams.number("duration_s")
    end_s = begin_s + duration_s
    whole_s = streams.worst(end_s)[streams.owner]
    gone_s = np.maximum(begin_s, whole_s - end_s)
    share = np.divide(gone_s, whole_s, out=np.zeros_like(gone_s), where=whole_s > 0)
    is_single = streams.number("count") == 1
    return {
        "missing_streams": (expected & ~has).sum(axis=1).astype(np.float64),
        "stream_gone_share": streams.worst(np.where(is_single, 0.0, share)),
        "even_share": rows.number("even_share"),
    }
