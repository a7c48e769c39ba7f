"""What the text of a marker says: a topic, a service call or a button that begins and ends episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from components.formats.mapping import EpisodeRule

OUTCOMES = ("success", "failure", "abort")
# What a topic that is sent again and again holds: only its changes are events.
_LEVELS = ("true", "false", "1", "0")
_BETWEEN = " \t\r\n:,;=-"
_EVENT_KEYS = ("event", "marker", "type")


@dataclass(frozen=True)
class Marker:
    """`event`: "start" or "stop"; `level`: the truth value that it was sent as, "" for a word. Empty is unsaid."""

    event: str
    level: str = ""
    task: str = ""
    instruction: str = ""
    outcome: str = ""
    note: str = ""


def parse_marker(text: str, rule: EpisodeRule) -> Marker | None:
    """What `text` says by the words of `rule`, without regard to case; None where it says nothing of episodes.

    Words that follow a start are the instruction ("start pour water"); an outcome may be the stop word itself or follow
    it ("stop failure: cup fell", where the rest is a note). JSON says the same by its keys:
    {"event": "start", "instruction": ..., "task": ..., "outcome": ..., "note": ...}.
    """
    said = _json_object(text)
    if said is None:
        return _from_words(text, rule)
    event = next((said[key] for key in _EVENT_KEYS if key in said), "")
    found = _from_words(_word(event), rule)
    if found is None:
        return None
    outcome = _word(said.get("outcome", "")).casefold()
    return Marker(
        found.event,
        found.level,
        task=_word(said.get("task", "")),
        instruction=_word(said.get("instruction", "")) or found.instruction,
        outcome=outcome if outcome in OUTCOMES else found.outcome,
        note=_word(said.get("note", "")) or found.note,
    )


def _json_object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(text)
    # A bottomless nesting is a RecursionError, not a ValueError.
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def _from_words(text: str, rule: EpisodeRule) -> Marker | None:
    start, stop = _split(text, rule.start), _split(text, rule.stop)
    # The longer word rules where one begins with the other ("start" and "start reset").
    if start is not None and (stop is None or len(start[0]) >= len(stop[0])):
        word, rest = start
        return Marker("start", word if word in _LEVELS else "", instruction=rest)
    if stop is None:
        return None
    word, rest = stop
    level = word if word in _LEVELS else ""
    if word in OUTCOMES:
        return Marker("stop", level, outcome=word, note=rest)
    outcome, note = _split(rest, OUTCOMES) or ("", rest)
    return Marker("stop", level, outcome=outcome, note=note)


def _split(text: str, words: tuple[str, ...]) -> tuple[str, str] | None:
    """(word, rest) for the longest of `words` that `text` begins with as a whole word."""
    plain = text.strip()
    folded = plain.casefold()
    for word in sorted({word.casefold() for word in words if word}, key=lambda word: (-len(word), word)):
        after = folded[len(word) : len(word) + 1]
        if folded.startswith(word) and not (after.isalnum() or after == "_"):
            return word, plain[len(word) :].strip(_BETWEEN)
    return None
