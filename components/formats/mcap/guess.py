"""A mapping for a recording that nobody made one for, from the types and names of its topics."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from typing import Any

from components.formats.mapping import Mapping, short_name
from components.formats.mcap.probe import Probe
from components.formats.mcap.topics import Source
from components.formats.mcap.values import FLOATS, PATHS

GUESSED = "guessed"
_WRENCH = ("geometry_msgs/Wrench", "geometry_msgs/WrenchStamped")
# In the order in which a topic of that name is taken to be the one stream "action".
_ACTION_WORDS = ("action", "actions", "command", "commands", "cmd")
_INSTRUCTION_WORDS = ("instruction", "language", "prompt", "task")
# A stamp of zero beside log times of an epoch was never set.
_EPOCH_NS = 10**15
_MOST_NUMBERS = 256


def guess_mapping(sources: Dict[str, Source], found: Dict[str, Probe], counts: Dict[str, int], last_ns: int) -> Mapping:
    """The same topics give the same mapping. One without streams is for a recording that shows nothing of a robot."""
    kinds = {topic: _kind(source, found[topic]) for topic, source in sources.items() if topic in found}
    kinds = {topic: kind for topic, kind in sorted(kinds.items()) if kind}
    actions = [topic for topic, kind in kinds.items() if kind == "action"]
    main = min(actions, key=lambda topic: (_rank(topic), -counts.get(topic, 0), topic), default=None)
    streams: dict[str, Any] = {}
    if main is not None:
        streams["action"] = _rule(main, "action", found[main])
    for topic, kind in kinds.items():
        if topic != main:
            streams[short_name(topic, streams)] = _rule(topic, kind, found[topic])
    stamps = [found[topic].stamp_ns for topic in kinds]
    unset = last_ns > _EPOCH_NS and any(stamp == 0 for stamp in stamps)
    return Mapping.model_validate(
        {
            "name": GUESSED,
            "format": ["mcap"],
            "clock": "log" if unset else "header",
            "instruction": _instruction(sources, found, kinds),
            "streams": streams,
        }
    )


def _words(topic: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", topic.lower()) if word]


def _rank(topic: str) -> int:
    words = _words(topic)
    return next((place for place, word in enumerate(_ACTION_WORDS) if word in words), len(_ACTION_WORDS))


def _kind(source: Source, probe: Probe) -> str:
    """image, depth, action, state, force, or "" for what is no stream."""
    if probe.picture:
        return probe.picture
    if not 0 < probe.numbers <= _MOST_NUMBERS or not _is_measurement(source):
        return ""
    if any(word in source.topic.lower() for word in ("action", "command", "cmd")):
        return "action"
    return "force" if source.type_name in _WRENCH else "state"


def _is_measurement(source: Source) -> bool:
    """Types that robots are described by; messages of a team's own count where they are JSON or protobuf."""
    name = source.type_name
    if name in PATHS or name in FLOATS:
        return True
    return source.encoding in ("json", "protobuf") and not name.startswith("foxglove.")


def _rule(topic: str, kind: str, probe: Probe) -> dict[str, Any]:
    rule: dict[str, Any] = {"from": topic, "kind": kind}
    if probe.joints:
        rule["names"] = list(probe.joints)
    return rule


def _instruction(sources: Dict[str, Source], found: Dict[str, Probe], kinds: Dict[str, str]) -> str:
    texts = [topic for topic, probe in found.items() if probe.text is not None and topic not in kinds]
    named = [
        (rank, topic)
        for topic in texts
        for rank, word in enumerate(_INSTRUCTION_WORDS)
        if word in topic.lower() and _is_text(sources[topic])
    ]
    return min(named, default=(0, ""))[1]


def _is_text(source: Source) -> bool:
    return source.type_name == "std_msgs/String" or source.encoding in ("json", "protobuf")
