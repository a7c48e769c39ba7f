"""Fields of a decoded message by their names: ROS 2, protobuf and JSON messages are walked alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Row = list[float]
Get = Callable[[Any], Any]

# Fields that say when and where, and are no measurement.
_STAMPS = ("header", "timestamp", "stamp")
_DEEPEST = 12


def fields_of(message: Any) -> list[tuple[str, Any]]:
    """Named fields in the order of the definition (JSON: of the names); empty for what is no message."""
    if isinstance(message, dict):
        return sorted((str(key), value) for key, value in message.items())
    descriptor = getattr(message, "DESCRIPTOR", None)
    if descriptor is not None:
        return [
            (field.name, getattr(message, field.name))
            for field in descriptor.fields
            # An absent message of its own type would be made up without end.
            if field.message_type is None or not field.has_presence or message.HasField(field.name)
        ]
    return [(name, getattr(message, name)) for name in getattr(type(message), "__slots__", ())]


def number_fields(message: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """(path, count) of every field that holds a number or a list of numbers, but for stamps and headers."""
    if depth > _DEEPEST:
        return
    for name, value in fields_of(message):
        path = f"{prefix}.{name}" if prefix else name
        if is_number(value):
            yield path, 1
        elif is_sequence(value):
            if len(value) and all(is_number(item) for item in value):
                yield path, len(value)
        elif name != "header" and (name not in _STAMPS or not is_stamp(value)):
            yield from number_fields(value, path, depth + 1)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def is_sequence(value: Any) -> bool:
    """A list of a message; texts, bytes and maps are none."""
    if isinstance(value, str | bytes) or hasattr(value, "keys"):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def is_stamp(value: Any) -> bool:
    return stamp_of(value) is not None


def stamp_of(value: Any) -> tuple[int, int] | None:
    """(seconds, nanoseconds) of a ROS 2, protobuf or JSON time, or None for anything else."""
    names = {"sec", "secs", "seconds"}, {"nanosec", "nsec", "nsecs", "nanos"}
    fields = dict(fields_of(value))
    found = [next((fields[name] for name in fields if name in known), None) for known in names]
    seconds, nanos = found
    if isinstance(seconds, int) and isinstance(nanos, int):
        return seconds, nanos
    return None


def getter(path: str) -> Get:
    """Value at a dotted path; a part of digits is a place in a list ("points.0.positions")."""
    parts = path.split(".")

    def get(message: Any) -> Any:
        for part in parts:
            if isinstance(message, dict):
                message = message[part]
            elif part.isdigit() and is_sequence(message):
                message = message[int(part)]
            else:
                message = getattr(message, part)
        return message

    return get


def numbers_at(value: Any) -> Row:
    """Numbers of one value: itself, a list's, or all of a message below it. Raises `TypeError` for anything else."""
    if is_number(value):
        return [float(value)]
    if is_sequence(value):
        return [float(item) for item in value]
    if isinstance(value, str | bytes):
        raise TypeError(f"it is text, {value[:20]!r}")
    row: Row = []
    for path, _ in number_fields(value):
        row += numbers_at(getter(path)(value))
    if not row:
        raise TypeError("it holds no number")
    return row


def text_in(message: Any) -> str | None:
    """The first text of a message: `data` of a String, or the first field that holds any; None where none does."""
    if isinstance(message, str):
        return message
    fields = dict(fields_of(message))
    for name in ("data", "text", "instruction", "value", *fields):
        if isinstance(fields.get(name), str):
            return str(fields[name])
    return None
