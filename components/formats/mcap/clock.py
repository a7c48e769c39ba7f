"""Which time of a message rules: the sensor's stamp in it, or when it was logged or published."""

from __future__ import annotations

from typing import Any, Literal

from components.core.errors import EpisodeError
from components.formats.assemble import MAX_SECONDS
from components.formats.mcap.walk import stamp_of

Clock = Literal["header", "log", "publish"]
MAX_NS = int(MAX_SECONDS * 1e9)


def sensor_stamp(message: Any) -> tuple[int, int] | None:
    """(seconds, nanoseconds) in `header.stamp` or `timestamp` of a message, None where it has neither."""
    if isinstance(message, dict):
        header = message.get("header")
        stamp = header.get("stamp") if isinstance(header, dict) else message.get("timestamp")
    else:
        header = getattr(message, "header", None)
        stamp = getattr(header, "stamp", None) if header is not None else getattr(message, "timestamp", None)
    # protobuf makes up a time where none was set.
    if stamp is None or (hasattr(message, "HasField") and not message.HasField("timestamp")):
        return None
    seconds, nanos = getattr(stamp, "sec", None), getattr(stamp, "nanosec", None)
    return (seconds, nanos) if seconds is not None and nanos is not None else stamp_of(stamp)


def time_of(clock: Clock, message: Any, log_ns: int, publish_ns: int, *, where: str) -> int:
    """Time in ns. A message without a stamp has the time at which it was logged. Raises `EpisodeError` (bad_time)."""
    time_ns = publish_ns if clock == "publish" else log_ns
    if clock == "header":
        stamp = sensor_stamp(message)
        if stamp is not None:
            time_ns = stamp[0] * 1_000_000_000 + stamp[1]
    if not -MAX_NS < time_ns < MAX_NS:
        raise EpisodeError(f"a message is of {time_ns / 1e9:.3g} s", where=where, code="bad_time")
    return time_ns
