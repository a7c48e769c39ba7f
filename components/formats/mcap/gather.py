"""One pass over a recording, or a span of it, makes an episode: numbers are decoded, frames stay where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.records import Metadata

from components.core.episode import Stream
from components.core.errors import EpisodeError, FormatError
from components.formats.mapping import Mapping
from components.formats.mcap.contents import ChunkRef, Contents, counts_by_topic, own_words
from components.formats.mcap.decode import Decode, decoded, decoder_of
from components.formats.mcap.latched import Latched
from components.formats.mcap.lazy import MessageStore
from components.formats.mcap.own import Seal, is_picture
from components.formats.mcap.records import Block, read_chunk, read_records
from components.formats.mcap.scan import scan
from components.formats.mcap.streams import Gatherer, gatherer
from components.formats.mcap.topics import Channels, Message, Source

FOREVER_NS = 1 << 64
_LISTED = 8


@dataclass(frozen=True)
class Span:
    """Half-open span of log times."""

    start_ns: int = 0
    end_ns: int = FOREVER_NS


@dataclass
class Gathered:
    streams: dict[str, Stream]
    words: dict[str, str]
    calibration: dict[str, Any]


class Gathering:
    """Takes the messages of a recording as they come, in files numbered from 0; `seal`: see `own`."""

    def __init__(
        self, mapping: Mapping, files: Sequence[Path], span: Span, *, where: str, seal: Seal | None = None
    ) -> None:
        self.mapping, self.span, self.where = mapping, span, where
        self._seal = seal
        self.latched = Latched(where, span.start_ns, tuple(t for t in (mapping.instruction, mapping.task) if t))
        self._store = MessageStore(files, where)
        self._gatherers: dict[str, list[Gatherer]] = {}
        self._named: dict[str, Gatherer] = {}
        for name, rule in mapping.streams.items():
            self._named[name] = gatherer(name, rule, mapping, self._store, where=where)
            self._gatherers.setdefault(rule.source, []).append(self._named[name])
        self._decoders: dict[Source, Decode] = {}
        self._filled: set[str] = set()

    def wants(self, source: Source) -> bool:
        sealed = self._seal is not None and source.topic in self._seal.topics
        return sealed or source.topic in self._gatherers or self.latched.wants(source)

    def add(self, file: int, block: Block, channels: Channels) -> None:
        for message in channels.messages(block, self.wants):
            if message.log_ns < self.span.end_ns:
                source, data = message.source, block.data[message.start : message.end]
                if self._seal is not None and source.topic in self._seal.topics:
                    self._seal.add(source.topic, message.log_ns, data, picture=is_picture(source))
                if self.latched.wants(source):
                    self.latched.add(source, message.log_ns, data)
                if message.log_ns >= self.span.start_ns and source.topic in self._gatherers:
                    self._add(file, block, message, data)

    def _add(self, file: int, block: Block, message: Message, data: bytes) -> None:
        source = message.source
        where = f"{self.where} {source.topic}"
        decode = self._decoders.get(source)
        if decode is None:
            decode = self._decoders[source] = decoder_of(source, where=where)
        body = decoded(decode, data, where=where)
        place = (file, block.chunk, block.base + message.start, block.base + message.end)
        self._filled.add(source.topic)
        for one in self._gatherers[source.topic]:
            one.add(body, message, place, decode)

    def finish(self, metadata: Sequence[tuple[str, dict[str, str]]]) -> Gathered:
        """Raises `EpisodeError` where no mapped topic has a message in the span."""
        topics = {name: rule.source for name, rule in self.mapping.streams.items()}
        streams = {name: one.stream() for name, one in self._named.items() if topics[name] in self._filled}
        words = own_words(metadata)
        for key, topic in (("instruction", self.mapping.instruction), ("task", self.mapping.task)):
            if topic:
                words[key] = self.latched.text(topic) or words.get(key, "")
        calibration = self.latched.calibration()
        if self.latched.skipped:
            skipped = sorted(self.latched.skipped.items())
            words["calibration_skipped"] = ", ".join(f"{topic} ({code})" for topic, code in skipped)
        return Gathered(streams, words, calibration)


def gather_all(files: Sequence[Path], mapping: Mapping, *, where: str, seal: Seal | None = None) -> Gathered:
    """All of a recording in one pass. Raises `FormatError` or `EpisodeError`."""
    gathering = Gathering(mapping, files, Span(), where=where, seal=seal)
    metadata: list[tuple[str, dict[str, str]]] = []
    for number, path in enumerate(files):
        place = _place(files, number, where)
        channels = Channels(place)
        for item in read_records(path, where=place):
            if isinstance(item, Block):
                gathering.add(number, item, channels)
            elif isinstance(item, Metadata):
                metadata.append((item.name, item.metadata))
    gathered = gathering.finish(metadata)
    if not gathered.streams:
        counts = counts_by_topic([scan(path, where=where) for path in files])
        raise nothing_mapped(sorted(topic for topic, count in counts.items() if count), mapping, where)
    return gathered


def gather_span(files: Sequence[Contents], mapping: Mapping, span: Span, *, where: str) -> Gathered:
    """What was logged in a span; chunks outside of it are not unpacked. Raises `FormatError` or `EpisodeError`."""
    paths = [file.path for file in files]
    gathering = Gathering(mapping, paths, span, where=where)
    done: set[tuple[int, int]] = set()
    for number, file in enumerate(files):
        place = _place(paths, number, where)
        if file.plain:
            for block in _plain_blocks(file, place):
                gathering.add(number, block, file.channels)
        for ref in file.chunks:
            inside = ref.start_ns < span.end_ns and ref.end_ns >= span.start_ns
            if inside:
                _add_chunk(gathering, number, file, ref, done, place)
    _add_earlier(gathering, files, span, done, where)
    gathered = gathering.finish([entry for file in files for entry in file.metadata])
    if not gathered.streams:
        raise EpisodeError("no mapped topic has a message in this span", where=where, code="missing_stream")
    return gathered


def _plain_blocks(file: Contents, where: str) -> Iterator[Block]:
    for item in read_records(file.path, where=where, on_bad_chunk=lambda *_: None):
        if isinstance(item, Block) and item.chunk < 0:
            yield item


def _add_chunk(
    gathering: Gathering, number: int, file: Contents, ref: ChunkRef, done: set[tuple[int, int]], where: str
) -> None:
    if (number, ref.offset) not in done:
        done.add((number, ref.offset))
        gathering.add(number, read_chunk(file.path, ref.offset, where=where), file.channels)


def _add_earlier(
    gathering: Gathering, files: Sequence[Contents], span: Span, done: set[tuple[int, int]], where: str
) -> None:
    """Messages from before the span that still hold in it: from the nearest chunk backwards, as far as needed."""
    latched = gathering.latched
    paths = [file.path for file in files]
    sources = [source for file in files for source in file.sources if latched.wants(source)]
    for topic in dict.fromkeys(source.topic for source in sources):
        adds_up = any(source.topic == topic and latched.adds_up(source) for source in sources)
        earlier = (
            (number, file, ref)
            for number, file in reversed(list(enumerate(files)))
            for ref in reversed(file.chunks_with(topic))
            if ref.start_ns < span.start_ns
        )
        for number, file, ref in earlier:
            if not adds_up and latched.known_since(topic, ref.end_ns):
                break
            try:
                _add_chunk(gathering, number, file, ref, done, _place(paths, number, where))
            except FormatError as error:
                # Without the instruction's chunk an older one would be taken for it.
                if topic in latched.words:
                    raise
                latched.skipped.setdefault(topic, error.code)
                break


def nothing_mapped(found: Sequence[str], mapping: Mapping, where: str) -> FormatError:
    """The error for a recording of something else."""
    if not found:
        return FormatError("holds no message", where=where, code="no_episodes")
    listed = ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
    wanted = ", ".join(mapping.sources)
    return FormatError(
        f"none of its topics ({listed}) is one of a demonstration",
        where=where,
        hint=f"Its mapping names {wanted}" if wanted else "Say in a mapping (--map) which topic is which stream",
        code="missing_stream",
    )


def _place(files: Sequence[Path], number: int, where: str) -> str:
    """Names the file of a recording that has several."""
    return f"{where}/{files[number].name}" if len(files) > 1 else where
