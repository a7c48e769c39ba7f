"""Lines of metrics.jsonl and speed.jsonl as MLflow takes them: each once, whatever a killed process repeats."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from model_registry.training_files import METRICS, SPEED, JobFiles

if TYPE_CHECKING:
    from mlflow.entities import Metric

# Of each kind of line, a key that all of them have: what is in MLflow already is told by its last step.
KINDS = {"training": "loss", "validation": "val_loss", "speed": "samples_per_s"}
# What MLflow takes in one call.
MOST_METRICS = 1000
_NAME = re.compile(r"[^\w\-. /:]")

Line = tuple[str, dict[str, Any]]


def new_lines(job: JobFiles, last: dict[str, int]) -> list[Line]:
    """(kind, line) of those beyond the last step that was logged of their kind, each step once."""
    seen = dict(last)
    found = []
    for line in [*job.lines(METRICS), *job.lines(SPEED)]:
        kind, step = kind_of(line), line.get("step")
        if isinstance(step, int) and step > seen.get(kind, -1):
            seen[kind] = step
            found.append((kind, line))
    return found


def kind_of(line: dict[str, Any]) -> str:
    return next((kind for kind in ("validation", "speed") if KINDS[kind] in line), "training")


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in pieces of at most `MOST_METRICS` numbers; no line is cut, so that each is logged whole or not at all."""
    piece: list[Line] = []
    size = 0
    for line in lines:
        count = len(line[1])
        if piece and size + count > MOST_METRICS:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += count
    if piece:
        yield piece


def metrics_of(line: Line) -> list[Metric]:
    """The numbers of a line; NaN stays NaN.

    The loss of a validation's line is over other steps than that of the lines between, so it has another name.
    """
    from mlflow.entities import Metric

    kind, values = line
    at = int(1000 * values["at"]) if isinstance(values.get("at"), int | float) else int(1000 * time.time())
    names = {key: f"{key}_between_validations" if (kind, key) == ("validation", "loss") else key for key in values}
    return [
        Metric(_NAME.sub("_", names[key]), float(value), at, values["step"])
        for key, value in sorted(values.items())
        if key not in ("step", "at") and isinstance(value, int | float) and not isinstance(value, bool)
    ]
