"""The mapping of a tree that nobody described: LeRobot's own names say which feature is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.formats.lerobot.columns import is_bookkeeping, is_inline_picture, is_numeric, is_text
from components.formats.lerobot.disagreements import Sample
from components.formats.lerobot.info import Feature, Info
from components.formats.mapping import Mapping as StreamMapping
from components.formats.mapping import StreamRule, short_name

SENSOR_TIME = "observation.time"
_ACTIONS = ("action", "actions")
_STATES = ("observation.state", "state")
# What a person who took over is marked by.
_INTERVENTION: dict[str, Any] = {"true": "human", "1": "human", "false": "policy", "0": "policy"}
_INSTRUCTIONS = ("language_instruction", "instruction", "task")


def guess_mapping(info: Info, samples: Sequence[Sample]) -> StreamMapping:
    """Of what info.json names and some tables hold."""
    keys = {key: None for sample in samples for key in sample.schema}
    schema = {
        key: _type_of(info.features.get(key), [s.schema[key] for s in samples if key in s.schema]) for key in keys
    }
    rules: dict[str, StreamRule] = {}
    for key in [*_ACTIONS, *_STATES, *info.features, *schema]:
        if key in {rule.source for rule in rules.values()} or is_bookkeeping(key):
            continue
        kind = _kind(key, info.features.get(key), schema.get(key))
        if kind:
            name = _name(key, rules)
            names = () if kind in ("image", "depth", "control") else _names(info, key, samples)
            values = _INTERVENTION if kind == "control" else {}
            rules[name] = StreamRule(source=key, kind=kind, names=names, values=values)
    words = next((key for key in _INSTRUCTIONS if key in schema and is_text(schema[key])), "")
    time = SENSOR_TIME if SENSOR_TIME in schema else ""
    return StreamMapping(
        name="guessed", format=("lerobot",), rate_hz=info.fps, time=time, instruction=words, streams=rules
    )


def _type_of(feature: Feature | None, types: Sequence[pa.DataType]) -> pa.DataType:
    """The commonest type that a column has in some tables, of those that can be what info.json says it is."""
    fitting = [
        type_
        for type_ in types
        if (is_inline_picture(type_) and (feature is None or feature.is_picture))
        or (is_numeric(type_) and (feature is None or not feature.is_picture))
    ] or types
    return max(fitting, key=fitting.count)


def _names(info: Info, key: str, samples: Sequence[Sample]) -> tuple[str, ...]:
    widths = {sample.widths[key] for sample in samples if key in sample.widths}
    return next((names for width in sorted(widths) if (names := fitting_names(info, key, width))), ())


def fitting_names(info: Info, key: str, width: int | None) -> tuple[str, ...]:
    """The names that info.json gives the numbers of a feature, where there are as many as the table has numbers."""
    feature = info.features.get(key)
    if feature is None or width is None or len(feature.names) != width or len(set(feature.names)) != width:
        return ()
    return feature.names


def _kind(key: str, feature: Feature | None, column: pa.DataType | None) -> Any:
    if column is not None and is_inline_picture(column) and (feature is None or feature.is_picture):
        return "depth" if feature is not None and feature.is_depth else "image"
    if column is None:
        # A depth video holds quantised distances, no millimetres.
        return "image" if feature is not None and feature.dtype == "video" and not feature.is_depth else ""
    if key.endswith("is_intervention") and (is_numeric(column) or pa.types.is_boolean(column)):
        return "control"
    if not is_numeric(column):
        return ""
    if key in _ACTIONS or key.startswith("action."):
        return "action"
    return "state" if key in _STATES or key.startswith("observation.") else ""


def _name(key: str, taken: Mapping[str, StreamRule]) -> str:
    for name, keys in (("action", _ACTIONS), ("state", _STATES)):
        if key in keys and name not in taken:
            return name
    return short_name(key, taken)
