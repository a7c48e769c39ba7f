"""What is in a file and where: topics, counts, chunks and metadata."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.core.errors import FormatError
from components.formats.mcap.topics import Channels, Source

EPISODE_METADATA = "episode"


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk: where its record begins, the log times in it, and the channels in it (None: not known)."""

    offset: int
    start_ns: int
    end_ns: int
    channels: frozenset[int] | None


@dataclass
class Contents:
    """One file. `log_ns`: log times of every topic, where the file was scanned; `plain`: messages lie outside chunks.

    `damage`: errors of chunks that were passed over.
    """

    path: Path
    channels: Channels
    profile: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    log_ns: dict[str, array[int]] = field(default_factory=dict)
    chunks: list[ChunkRef] = field(default_factory=list)
    plain: bool = False
    start_ns: int | None = None
    end_ns: int = 0
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    damage: list[FormatError] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        return list(self.channels.sources.values())

    def numbers_of(self, topic: str) -> frozenset[int]:
        return frozenset(number for number, source in self.channels.sources.items() if source.topic == topic)

    def chunks_with(self, topic: str) -> list[ChunkRef]:
        numbers = self.numbers_of(topic)
        return [ref for ref in self.chunks if ref.channels is None or ref.channels & numbers]


def first_ns(files: Sequence[Contents]) -> int:
    """Log time of the first message of a recording; 0 where it holds none."""
    return min((file.start_ns for file in files if file.start_ns is not None), default=0)


def sources_by_topic(files: Sequence[Contents]) -> dict[str, Source]:
    """The first source of each topic, sorted by topic."""
    found: dict[str, Source] = {}
    for file in files:
        for source in file.sources:
            found.setdefault(source.topic, source)
    return dict(sorted(found.items()))


def counts_by_topic(files: Sequence[Contents]) -> Counter[str]:
    return sum((file.counts for file in files), Counter())


def own_words(metadata: Sequence[tuple[str, dict[str, str]]]) -> dict[str, str]:
    """What the recorder wrote about the episode."""
    found: dict[str, str] = {}
    for name, words in metadata:
        if name == EPISODE_METADATA:
            found.update(words)
    return found
