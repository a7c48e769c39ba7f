"""Bytes of a message to a message: ROS 2 CDR, protobuf and JSON. What cannot be decoded says why, topic by topic."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import lru_cache
from typing import Any

from mcap.records import Schema
from mcap_protobuf.decoder import DecoderFactory as ProtobufFactory
from mcap_ros2.decoder import DecoderFactory as Ros2Factory

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import library_errors
from components.formats.mcap.services import SEPARATOR, service_definition
from components.formats.mcap.topics import Source

Decode = Callable[[bytes], Any]
_KEPT_DECODERS = 256
# Types of a ROS 2 message definition that take a byte each without the library looking whether it is there.
_UNCHECKED = re.compile(r"^(?:u?int8|byte)\[\d+\]\s+\w+\s*$")
_OF_TYPE = re.compile(r"^([\w/]+)(\[[^\]]*\])?\s+\w+\s*$")


def decoder_of(source: Source, *, where: str) -> Decode:
    """A function from bytes to a message. Raises `FormatError` (unsupported_encoding, bad_schema)."""
    schema = source.schema
    form = (source.encoding, schema.encoding if schema else "")
    if form[0] == "json":
        return _decode_json
    if schema is None or form not in _DECODERS:
        raise EpisodeError(
            f"topic {source.topic} is encoded as {_said(source)}, which is not read",
            where=where,
            hint="Read are cdr with ros2msg, protobuf with protobuf, and json",
            code="unsupported_encoding",
        )
    with library_errors(where, code="bad_schema"):
        decode = _DECODERS[form](schema.name, schema.data)
    if decode is None:
        raise FormatError("its schema gives no decoder", where=where, code="bad_schema")
    return decode


def decoded(decode: Decode, data: bytes, *, where: str) -> Any:
    """Raises `FormatError` (bad_message)."""
    with library_errors(where, code="bad_message"):
        return decode(data)


def _said(source: Source) -> str:
    return f"{source.encoding or 'nothing'} with {source.schema.encoding or 'no' if source.schema else 'no'} schema"


def _decode_json(data: bytes) -> Any:
    return json.loads(data)


# A schema takes milliseconds to parse, and the spans of a recording ask for the same ones.
@lru_cache(maxsize=_KEPT_DECODERS)
def _ros2_decoder(name: str, data: bytes) -> Decode | None:
    text = data.decode()
    if any(line.strip() == SEPARATOR for line in text.splitlines()):
        name, text = service_definition(name, text)
    _refuse_boundless(text)
    # The library's parser prints what it refuses.
    with redirect_stderr(io.StringIO()):
        return Ros2Factory().decoder_for("cdr", Schema(1, text.encode(), "ros2msg", name))


@lru_cache(maxsize=_KEPT_DECODERS)
def _protobuf_decoder(name: str, data: bytes) -> Decode | None:
    return ProtobufFactory().decoder_for("protobuf", Schema(1, data, "protobuf", name))


_DECODERS: dict[tuple[str, str], Callable[[str, bytes], Decode | None]] = {
    ("cdr", "ros2msg"): _ros2_decoder,
    ("protobuf", "protobuf"): _protobuf_decoder,
}


def _refuse_boundless(text: str) -> None:
    """A list of a type of nothing but fixed byte arrays: the library reads past the end for as long as it claims."""
    types: dict[str, list[str]] = {}
    for section in re.split(r"^={3,}$", text, flags=re.MULTILINE):
        lines = [line.split("#")[0].strip() for line in section.splitlines()]
        lines = [line for line in lines if line and "=" not in line.replace("<=", "")]
        name = lines.pop(0)[4:].strip() if lines and lines[0].startswith("MSG:") else ""
        types[name.split("/")[-1]] = lines
    unchecked: set[str] = set()
    for _ in types:
        unchecked |= {
            name for name, lines in types.items() if lines and all(_is_unchecked(x, unchecked) for x in lines)
        }
    for lines in types.values():
        for match in filter(None, map(_OF_TYPE.match, lines)):
            if match[2] and match[1].split("/")[-1] in unchecked:
                raise ValueError(f"a list of {match[1]} has no bound that can be checked")


def _is_unchecked(line: str, unchecked: set[str]) -> bool:
    match = _OF_TYPE.match(line)
    return bool(_UNCHECKED.match(line)) or (match is not None and match[1].split("/")[-1] in unchecked)
