"""Messages of a topic gathered into one stream: numbers as they are decoded, pictures as the places where they lie."""

from __future__ import annotations

from array import array
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.core.episode import Stream
from components.core.errors import EpisodeError
from components.formats.assemble import is_picture, numeric_stream, picture_stream
from components.formats.mapping import Mapping, StreamRule
from components.formats.mcap.clock import time_of
from components.formats.mcap.decode import Decode, decoded
from components.formats.mcap.lazy import MessageFrames, MessageStore
from components.formats.mcap.pictures import Picture, picture
from components.formats.mcap.topics import Message, Source
from components.formats.mcap.values import Rows
from components.formats.mcap.walk import is_number, text_in

# Log times beyond this are surely not the first seconds of a simulation: a stamp of zero beside one was never set.
_LONG_AFTER_ZERO_NS = 10**15


class Gatherer(Protocol):
    def add(self, body: Any, message: Message, place: tuple[int, int, int, int], decode: Decode) -> None: ...

    def stream(self) -> Stream: ...


def gatherer(name: str, rule: StreamRule, mapping: Mapping, store: MessageStore, *, where: str) -> Gatherer:
    """`where`: file and part; the topic is added to it."""
    if is_picture(rule):
        return _Pictures(name, rule, mapping, store, where=where)
    if rule.kind == "control":
        return _Words(name, rule, mapping, where=where)
    return _Numbers(name, rule, mapping, where=where)


class _Timed:
    def __init__(self, name: str, rule: StreamRule, mapping: Mapping, *, where: str) -> None:
        self.name, self.rule, self.where = name, rule, f"{where} {rule.source}"
        self._clock = mapping.clock
        self._time_ns, self._log_ns = array("q"), array("Q")

    def _add_time(self, body: Any, message: Message) -> None:
        self._time_ns.append(time_of(self._clock, body, message.log_ns, message.publish_ns, where=self.where))
        self._log_ns.append(message.log_ns)

    def _order(self) -> npt.NDArray[np.intp]:
        """Messages of a topic follow each other as they were logged, wherever they lie."""
        return np.argsort(np.array(self._log_ns), kind="stable")

    def _times(self, order: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        time_ns = np.array(self._time_ns, dtype=np.int64)[order]
        logged_late = len(self._log_ns) > 0 and max(self._log_ns) > _LONG_AFTER_ZERO_NS
        if self._clock == "header" and len(time_ns) and not time_ns.any() and (len(time_ns) > 1 or logged_late):
            raise EpisodeError(
                f"every header stamp of {self.rule.source} is zero",
                where=self.where,
                hint="Say `clock: log` in the mapping to go by when messages were logged",
                code="unstamped",
            )
        return time_ns


class _Numbers(_Timed):
    def __init__(self, name: str, rule: StreamRule, mapping: Mapping, *, where: str) -> None:
        super().__init__(name, rule, mapping, where=where)
        self._rows: Rows | None = None
        self._values = array("d")
        self._width = -1

    def add(self, body: Any, message: Message, place: tuple[int, int, int, int], decode: Decode) -> None:
        if self._rows is None:
            self._rows = Rows(self.rule, message.source.type_name, self.where)
        row = self._rows.row(body)
        if self._width < 0:
            self._width = len(row)
        elif len(row) != self._width:
            raise EpisodeError(
                f"messages of {self.rule.source} hold {self._width} or {len(row)} numbers",
                where=self.where,
                code="wrong_shape",
            )
        self._add_time(body, message)
        self._values.extend(row)

    def stream(self) -> Stream:
        order = self._order()
        values = np.array(self._values).reshape(len(order), -1)[order]
        rule = self.rule
        if any(isinstance(word, str) for word in rule.select):
            rule = rule.model_copy(update={"select": ()})
        return numeric_stream(self.name, rule, self._times(order), values, where=self.where)


class _Words(_Timed):
    """Who moved the robot: a word, a number or a truth value a message."""

    def __init__(self, name: str, rule: StreamRule, mapping: Mapping, *, where: str) -> None:
        super().__init__(name, rule, mapping, where=where)
        self._values: list[Any] = []
        self._known: dict[Any, Any] = {}

    def add(self, body: Any, message: Message, place: tuple[int, int, int, int], decode: Decode) -> None:
        value = word_of(body, self.rule, message.source.type_name, self.where)
        self._add_time(body, message)
        # One object a word, however often it is said.
        self._values.append(self._known.setdefault((type(value), value), value))

    def stream(self) -> Stream:
        order = self._order()
        values = np.array([self._values[index] for index in order], dtype=object).reshape(-1, 1)
        rule = self.rule.model_copy(update={"select": ()})
        return numeric_stream(self.name, rule, self._times(order), values, where=self.where)


def word_of(body: Any, rule: StreamRule, type_name: str, where: str) -> Any:
    """The text, truth value or number of a message. Raises `EpisodeError` (wrong_type)."""
    if not rule.select:
        text = text_in(body)
        if text is not None:
            return text
        data = body.get("data") if isinstance(body, dict) else getattr(body, "data", None)
        if is_number(data):
            return data
    return Rows(rule, type_name, where).row(body)[0]


class _Pictures(_Timed):
    def __init__(self, name: str, rule: StreamRule, mapping: Mapping, store: MessageStore, *, where: str) -> None:
        super().__init__(name, rule, mapping, where=where)
        self._store = store
        self._places = array("q")
        self._sources: dict[Source, int] = {}
        self._decoders: list[partial[Picture]] = []

    def add(self, body: Any, message: Message, place: tuple[int, int, int, int], decode: Decode) -> None:
        source = message.source
        if source not in self._sources:
            self._sources[source] = len(self._decoders)
            self._decoders.append(partial(_frame, decode, source.type_name, self.rule, self.where))
            picture(body, source.type_name, self.rule, where=self.where)
        self._add_time(body, message)
        self._places.extend((*place, self._sources[source]))

    def stream(self) -> Stream:
        order = self._order()
        places = array("q", np.array(self._places, dtype=np.int64).reshape(len(order), -1)[order].tobytes())
        frames = MessageFrames(self._store, places, self._decoders)
        return picture_stream(self.name, self.rule, self._times(order), frames, where=self.where)


def _frame(decode: Decode, type_name: str, rule: StreamRule, where: str, data: bytes) -> Picture:
    return picture(decoded(decode, data, where=where), type_name, rule, where=where)
