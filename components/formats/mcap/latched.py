"""Topics of which one message holds for a while: the instruction, cameras, fixed transforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.core.errors import FormatError
from components.formats.mcap.calibration import (
    calibration_of,
    camera_of,
    is_camera,
    is_static_transform,
    transforms_of,
)
from components.formats.mcap.decode import decoded, decoder_of
from components.formats.mcap.topics import Source
from components.formats.mcap.walk import text_in


@dataclass
class Latest:
    """The first message of a span, or where it has none the last one before it."""

    start_ns: int
    source: Source | None = None
    data: bytes = b""
    log_ns: int = -1
    inside: bool = False

    def add(self, source: Source, log_ns: int, data: bytes) -> None:
        inside = log_ns >= self.start_ns
        if self.source is None or (inside, -log_ns if inside else log_ns) > (
            self.inside,
            -self.log_ns if self.inside else self.log_ns,
        ):
            self.source, self.data, self.log_ns, self.inside = source, data, log_ns, inside


@dataclass
class Latched:
    """What holds during a span: texts of `words` topics, cameras and fixed transforms. `skipped`: topic -> why."""

    where: str
    start_ns: int
    words: tuple[str, ...]
    latest: dict[str, Latest] = field(default_factory=dict)
    transforms: list[tuple[int, Source, bytes]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def wants(self, source: Source) -> bool:
        return source.topic in self.words or is_camera(source) or is_static_transform(source)

    def add(self, source: Source, log_ns: int, data: bytes) -> None:
        if is_static_transform(source):
            self.transforms.append((log_ns, source, data))
        else:
            self.latest.setdefault(source.topic, Latest(self.start_ns)).add(source, log_ns, data)

    def adds_up(self, source: Source) -> bool:
        """Transforms add up; of other topics one message counts."""
        return is_static_transform(source)

    def known_since(self, topic: str, log_ns: int) -> bool:
        """Whether nothing logged up to `log_ns` would still count."""
        latest = self.latest.get(topic)
        return latest is not None and (latest.inside or latest.log_ns > log_ns)

    def text(self, topic: str) -> str:
        """Raises `FormatError` (bad_message, bad_schema, unsupported_encoding) for a topic that the mapping names."""
        latest = self.latest.get(topic)
        if latest is None or latest.source is None:
            return ""
        message = _message(latest.source, latest.data, f"{self.where} {topic}")
        text = text_in(message)
        if text is None:
            raise FormatError("holds no text", where=f"{self.where} {topic}", code="wrong_type")
        return text

    def calibration(self) -> dict[str, Any]:
        """Cameras and transforms; a topic that cannot be read is left out and named in `skipped`."""
        cameras: dict[str, dict[str, Any]] = {}
        for topic, latest in self.latest.items():
            if latest.source is not None and topic not in self.words:
                found = self._tried(latest.source, latest.data, camera_of)
                if found is not None:
                    cameras[topic] = found
        transforms: list[dict[str, Any]] = []
        for _, source, data in sorted(self.transforms, key=lambda entry: entry[0]):
            transforms += self._tried(source, data, transforms_of) or []
        return calibration_of(cameras, transforms)

    def _tried(self, source: Source, data: bytes, reader: Any) -> Any:
        try:
            return reader(_message(source, data, f"{self.where} {source.topic}"))
        except FormatError as error:
            self.skipped.setdefault(source.topic, error.code)
        # What a message of this name holds is not what its type says.
        except (TypeError, ValueError, OverflowError):
            self.skipped.setdefault(source.topic, "wrong_type")
        return None


def _message(source: Source, data: bytes, where: str) -> Any:
    return decoded(decoder_of(source, where=where), data, where=where)
