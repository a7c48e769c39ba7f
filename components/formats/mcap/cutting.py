"""What marks the episodes in a long recording: events of a marker topic, or times at which a stream is silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.core.errors import FormatError
from components.formats.cuts import Cut, from_gaps, from_markers
from components.formats.mapping import Mapping
from components.formats.mcap.contents import Contents, first_ns
from components.formats.mcap.decode import decoded, decoder_of
from components.formats.mcap.records import Block, read_chunk, read_records
from components.formats.mcap.topics import Message, Source
from components.formats.mcap.walk import is_number, numbers_at, text_in
from components.formats.source import Problem

# service_msgs/ServiceEventInfo: what came in at the server; each call is seen up to four times.
_REQUEST_RECEIVED, _REQUEST_SENT = 1, 0
_CALL = "call"


def cuts_of(files: Sequence[Contents], mapping: Mapping, *, where: str) -> tuple[tuple[Cut, ...], tuple[Problem, ...]]:
    """Cuts by the mapping's `episode` rule and what stood in the way. Raises `FormatError` (missing_marker ...).

    A damaged chunk hides markers, never samples: whatever span it lies in cannot be read later on.
    """
    rule, start_ns = mapping.episode, first_ns(files)
    topic = rule.topic or ("" if rule.by == "marker" else _main_topic(mapping))
    if not any(source.topic == topic for file in files for source in file.sources):
        raise FormatError(
            f"episodes are cut by topic {topic!r}, which is not there",
            where=where,
            hint="Correct `episode.topic` of the mapping",
            code="missing_marker",
        )
    search = _Search(files, topic, where)
    if rule.by == "gap":
        times = [message.log_ns - start_ns for _, message in search.messages()]
        # A damaged chunk is no silence.
        times += [max(0, edge_ns - start_ns) for span in search.hidden_ns for edge_ns in span]
        return from_gaps(sorted(times), rule), tuple(search.problems)
    events = _Events(f"{where} {topic}")
    for block, message in search.messages():
        events.add(message, block.data[message.start : message.end], message.log_ns - start_ns)
    end_ns = max(file.end_ns for file in files) - start_ns + 1
    return from_markers(events.sorted(), rule, end_ns), tuple(search.problems)


def _main_topic(mapping: Mapping) -> str:
    """The topic of the actions, or of the first stream where nothing acts."""
    if "action" in mapping.streams:
        return mapping.streams["action"].source
    rules = sorted(mapping.streams.items(), key=lambda entry: (entry[1].kind != "action", entry[0]))
    return rules[0][1].source if rules else ""


@dataclass
class _Search:
    """Messages of one topic. `hidden_ns`: first and last log time of damaged chunks, known once all were looked at."""

    files: Sequence[Contents]
    topic: str
    where: str
    problems: list[Problem] = field(default_factory=list)
    hidden_ns: list[tuple[int, int]] = field(default_factory=list)

    def messages(self) -> Iterator[tuple[Block, Message]]:
        for file in self.files:
            for block in self._blocks(file):
                for message in file.channels.messages(block, lambda source: source.topic == self.topic):
                    yield block, message

    def _blocks(self, file: Contents) -> Iterator[Block]:
        if file.plain:
            for item in read_records(file.path, where=self.where, on_bad_chunk=lambda *_: None):
                if isinstance(item, Block) and item.chunk < 0:
                    yield item
        for ref in file.chunks_with(self.topic):
            try:
                block = read_chunk(file.path, ref.offset, where=self.where)
            except FormatError as error:
                self.problems.append(Problem(error.code, error.where or self.where, error.message))
                self.hidden_ns.append((ref.start_ns, min(ref.end_ns, file.end_ns)))
                continue
            yield block


class _Events:
    """(ns, text) of what a marker topic says: texts, truth values, numbers, pressed buttons, or calls of a service."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: list[tuple[int, str]] = []
        self._sent: list[tuple[int, str]] = []
        self._pressed: set[int] = set()
        self._decoders: dict[Source, Any] = {}

    def add(self, message: Message, data: bytes, time_ns: int) -> None:
        """Raises `FormatError` (bad_message, bad_schema, unsupported_encoding, wrong_type)."""
        source = message.source
        if source not in self._decoders:
            self._decoders[source] = decoder_of(source, where=self._where)
        body = decoded(self._decoders[source], data, where=self._where)
        if hasattr(body, "buttons"):
            self._add_buttons(body.buttons, time_ns)
        elif hasattr(body, "info") and hasattr(body.info, "event_type"):
            self._add_call(body, time_ns)
        else:
            self._found.append((time_ns, self._text(body)))

    def sorted(self) -> list[tuple[int, str]]:
        """Calls as the server saw them; as the client sent them where no server took part in the recording."""
        return sorted(self._found or self._sent, key=lambda event: event[0])

    def _add_buttons(self, buttons: Sequence[int], time_ns: int) -> None:
        down = {number for number, value in enumerate(buttons) if value}
        self._found += [(time_ns, f"button{number}") for number in sorted(down - self._pressed)]
        self._pressed = down

    def _add_call(self, body: Any, time_ns: int) -> None:
        kind = body.info.event_type
        if kind in (_REQUEST_RECEIVED, _REQUEST_SENT):
            request = body.request[0] if len(body.request) else None
            said = (time_ns, self._text(request, default=_CALL))
            (self._found if kind == _REQUEST_RECEIVED else self._sent).append(said)

    def _text(self, body: Any, default: str = "") -> str:
        text = None if body is None else text_in(body)
        if text is not None:
            return text
        data = body.get("data") if isinstance(body, dict) else getattr(body, "data", body)
        if isinstance(data, bool):
            return "true" if data else "false"
        if is_number(data):
            return f"{data:g}"
        if default:
            return default
        try:
            return f"{numbers_at(body)[0]:g}"
        except (TypeError, IndexError) as error:
            raise FormatError("holds no text and no number", where=self._where, code="wrong_type") from error
