"""Instructions, consent and licences: what stands beside the numbers."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatch

import numpy as np

from components.checks.own.rows import Floats, Rows
from components.core.params import Checks

# What people and exporters write where they have nothing to say.
PLACEHOLDERS = frozenset(
    (
        "n/a",
        "na",
        "none",
        "null",
        "nil",
        "nan",
        "unknown",
        "undefined",
        "todo",
        "tbd",
        "pending",
        "-",
        "--",
        "?",
        "test",
        "task",
        "instruction",
        "default",
        "placeholder",
        "no instruction",
        "no task",
        "language instruction",
    )
)
# An instruction is that of another task where at most this share of its uses is in the episode's own.
_FOREIGN = 0.25
# Uses that another task must have for that.
_USES = 5


def words(rows: Rows, params: Checks) -> dict[str, Floats]:
    """`instruction_words`: 0 for a placeholder; `foreign_instruction`: 1 where it belongs to another task."""
    instructions, tasks = rows.text("instruction"), rows.text("task")
    said = [_said(text) for text in instructions]
    return {
        "instruction_words": _floats([len(text.split()) for text in said]),
        "foreign_instruction": _foreign(said, tasks),
        "consent": _floats([bool(_said(text)) for text in rows.text("consent_ref")]),
        "licence_forbids": _forbidden(rows.text("licence"), params.licences_forbidden),
    }


def _forbidden(licences: list[str], patterns: tuple[str, ...]) -> Floats:
    """Many episodes have few licences, so each is looked at once."""
    known = {text: any(fnmatch(text.lower(), one.lower()) for one in patterns) for text in set(licences)}
    return _floats([known[text] for text in licences])


def phrasings(instructions: list[str]) -> float:
    """How many phrasings there are in effect: e to the entropy of their shares; 1 where all are alike."""
    counts = np.array(list(Counter(" ".join(text.lower().split()) for text in instructions).values()), np.float64)
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _said(text: str) -> str:
    plain = " ".join(text.lower().split())
    return "" if plain.strip(" .!") in PLACEHOLDERS or plain in PLACEHOLDERS else plain


def _foreign(said: list[str], tasks: list[str]) -> Floats:
    uses = Counter(zip(said, tasks, strict=True))
    total = Counter(said)
    most: dict[str, int] = {}
    for (text, _), count in uses.items():
        most[text] = max(most.get(text, 0), count)
    return _floats(
        [
            bool(text) and uses[text, task] <= _FOREIGN * total[text] and most[text] >= _USES
            for text, task in zip(said, tasks, strict=True)
        ]
    )


def _floats(values: list[bool] | list[int]) -> Floats:
    return np.array(values, np.float64)
