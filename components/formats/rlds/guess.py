"""Which features of a record are streams, where no mapping says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.core.episode import StreamKind
from components.formats.mapping import Mapping as StreamMapping
from components.formats.mapping import StreamRule, fitting_mapping, short_name
from components.formats.rlds.example import Values
from components.formats.rlds.features import Feature
from components.formats.rlds.record import STEPS, is_picture

# A vector longer than this is an embedding or an array, not what a robot measures of itself.
_MAX_STATE_WIDTH = 64
_INSTRUCTIONS = (
    "language_instruction",
    "observation/natural_language_instruction",
    "natural_language_instruction",
    "observation/language_instruction",
    "observation/instruction",
    "instruction",
    "episode_metadata/language_instruction",
)
_ACTIONS = ("action", "action_dict")


def guessed_mapping(features: Mapping[str, Feature], values: Mapping[str, Values]) -> StreamMapping:
    """A built-in mapping that fits, else: pictures are cameras, `action` acts, numbers of the observation are states.

    `values`: a record, where features.json is not there to say what is what; its streams may be empty.
    """
    known = features or {name: _seen(found, values) for name, found in values.items()}
    below = {name.removeprefix(STEPS): feature for name, feature in known.items() if name.startswith(STEPS)}
    built_in = fitting_mapping(below, "rlds")
    if built_in:
        return built_in
    streams: dict[str, StreamRule] = {}
    for source, feature in sorted(below.items()):
        kind = _kind(source, feature)
        if kind:
            streams[short_name(source, streams)] = StreamRule(source=source, kind=kind)
    said = {name.removeprefix(STEPS) for name in known}
    return StreamMapping(name="guessed", streams=streams, instruction=_first(_INSTRUCTIONS, said))


def _kind(source: str, feature: Feature) -> StreamKind | None:
    if feature.ragged:
        return None
    if feature.kind == "image":
        return "depth" if feature.dtype == "uint16" else "image"
    if feature.kind != "tensor":
        return None
    if len(feature.shape) == 3 and feature.dtype == "uint8" and feature.shape[-1] == 3:
        return "image"
    if feature.width is None or not 0 < feature.width <= _MAX_STATE_WIDTH:
        return None
    if not feature.dtype.startswith(("float", "bool")):
        return None
    first = source.split("/")[0]
    if first in _ACTIONS:
        return "action"
    return "state" if first == "observation" and "embedding" not in source else None


def _seen(found: Values, values: Mapping[str, Values]) -> Feature:
    """What a feature seems to be, without features.json."""
    if isinstance(found, list):
        return Feature("image", "uint8") if is_picture(found) else Feature("text", "string")
    count = min((len(other) for name, other in values.items() if name.startswith(STEPS) and len(other)), default=1)
    return Feature("tensor", str(found.dtype), (len(found) // count,))


def _first(wanted: Iterable[str], there: set[str]) -> str:
    return next((name for name in wanted if name in there), "")
