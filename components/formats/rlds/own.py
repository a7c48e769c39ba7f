"""RLDS records that gripline wrote: how they are to be read, and the ids that they carry."""

from __future__ import annotations

from collections.abc import Mapping as Words
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import FormatError
from components.formats.carried import (
    CALIBRATION,
    DROPPED,
    KEY,
    Carried,
    OwnEpisode,
    calibration_from,
    carried_from,
    carried_id,
    mapping_or_problem,
)
from components.formats.mapping import Mapping
from components.formats.rlds.example import Values, parse_example
from components.formats.rlds.features import Feature
from components.formats.rlds.record import METADATA, STEPS
from components.formats.rlds.tfrecord import Span, payload

INSTRUCTION = "language_instruction"
_OWN = METADATA + KEY


def own_mapping(
    path: Path, spans: tuple[Span, ...], features: Words[str, Feature], problems: list[FormatError], *, where: str
) -> Mapping | None:
    """The mapping of a file that gripline wrote, from the first of its records that can be read.

    Where what that says is damaged, the file is read as anybody's.
    """
    for span in spans if not features or _OWN in features else ():
        try:
            values = parse_example(payload(path, span, where=where), where=where)
        except FormatError:
            # What is wrong with one record is said when it is read.
            continue
        return mapping_or_problem(partial(_carried, values, where), problems)
    return None


def own_record(values: Words[str, Values], *, where: str) -> OwnEpisode | None:
    """What a record carries, None for one of somebody else's. Raises `FormatError` (bad_metadata)."""
    try:
        carried = _carried(values, where)
    except FormatError:
        # A problem of the file, which was said when it was opened.
        return None
    if carried is None:
        return None
    below = {name.removeprefix(METADATA): found for name, found in values.items() if name.startswith(METADATA)}
    words = {name: _text(found) for name, found in below.items() if isinstance(found, list)}
    words["instruction"] = _text(values.get(STEPS + INSTRUCTION, []))
    kept = carried_id(words, {name: as_column(values[name]) for name in carried.columns if name in values})
    calibration = calibration_from(words.get(CALIBRATION, ""), where=where)
    return OwnEpisode(words if kept else words | DROPPED, calibration, kept)


def as_column(found: Values) -> npt.NDArray[Any]:
    """A list of a record as the checksum covers it; bytes one after the other."""
    return np.frombuffer(b"".join(found), np.uint8) if isinstance(found, list) else found


def _carried(values: Words[str, Values], where: str) -> Carried | None:
    found = values.get(_OWN)
    return carried_from(found[0], where=where) if isinstance(found, list) and found else None


def _text(found: Values) -> str:
    """The text of a feature; where it differs from step to step, all of them."""
    texts = found if isinstance(found, list) else []
    return " | ".join(dict.fromkeys(text.decode(errors="replace") for text in texts))
