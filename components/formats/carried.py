"""What a file that gripline converted says beside its format: how to read it, and by what its episodes keep their ids.

One JSON object a file says which of its columns is which stream. Each episode carries its id and a checksum over its
columns and words as they lie in the file, whatever mapping reads them; who changes one of them makes another episode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Words
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from components.core.errors import FormatError
from components.core.files import canonical_json
from components.core.frames_digest import frames_sha256
from components.formats.assemble import library_errors
from components.formats.mapping import Mapping

# Where the JSON object lies: a dataset of HDF5, a feature of an RLDS episode, a metadata record of MCAP.
KEY = "gripline"
EPISODE_ID = "gripline_episode_id"
CHECKSUM = "gripline_checksum"
CALIBRATION = "gripline_calibration"
# What stands beside the words of an episode and is no word of it.
OWN_WORDS = (KEY, EPISODE_ID, CHECKSUM, CALIBRATION)
# Words that an id covers.
_COVERED = ("task", "instruction", "embodiment", "robot_id")
# What an episode says of its identity once its id is dropped.
DROPPED = {"identity": "carried id dropped: columns or words changed"}
_VERSION = 1


@dataclass(frozen=True)
class Carried:
    """`mapping`: the one that gives back the streams of the dataset; `columns`: what the checksum of an episode covers,
    by its name in the file; `embodiment`: as `core.spec.Embodiment.as_dict`.
    """

    mapping: Mapping
    columns: tuple[str, ...]
    embodiment: dict[str, Any]

    def as_json(self) -> str:
        mapping = self.mapping.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        value = {"version": _VERSION, "mapping": mapping, "columns": list(self.columns), "embodiment": self.embodiment}
        return canonical_json(value)


@dataclass(frozen=True)
class OwnEpisode:
    """What an episode of such a file says; `words`: exactly as they were written, notes included."""

    words: dict[str, str]
    calibration: dict[str, Any]
    carried_id: str


def mapping_or_problem(read: Callable[[], Carried | None], problems: list[FormatError]) -> Mapping | None:
    """The mapping that `read` finds. Where it is damaged, that is a problem and the file is read as anybody's."""
    try:
        carried = read()
    except FormatError as error:
        problems.append(error)
        return None
    return carried.mapping if carried else None


def carried_from(text: str | bytes, *, where: str) -> Carried:
    """Inverse of `Carried.as_json`. Raises `FormatError` (bad_metadata)."""
    with library_errors(f"{where} ({KEY})", code="bad_metadata"):
        value = json.loads(text)
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}, known is {_VERSION}")
        columns = tuple(str(name) for name in value["columns"])
        return Carried(Mapping.model_validate(value["mapping"]), columns, dict(value["embodiment"]))


def checksum(episode_id: str, words: Words[str, str], columns: Words[str, npt.NDArray[Any]]) -> str:
    """sha256 over an id, the words that it covers, and columns of any shape."""
    return frames_sha256(columns, [episode_id, *(words.get(name, "") for name in _COVERED)])


def carried_id(words: Words[str, str], columns: Words[str, npt.NDArray[Any]]) -> str:
    """The id that an episode carries where its checksum is right, else ""; `words`: all that the file says of it."""
    carried = words.get(EPISODE_ID, "")
    return carried if carried and checksum(carried, words, columns) == words.get(CHECKSUM) else ""


def calibration_from(text: str | bytes, *, where: str) -> dict[str, Any]:
    """The calibration of an episode, {} where it has none. Raises `FormatError` (bad_metadata)."""
    with library_errors(f"{where} ({CALIBRATION})", code="bad_metadata"):
        value = json.loads(text) if text else {}
        if not isinstance(value, dict):
            raise ValueError(f"holds a {type(value).__name__}, expected an object")
        return value


def plain_words(words: Words[str, str], own: Sequence[str] = OWN_WORDS) -> dict[str, str]:
    """Words without those that are there for readers alone."""
    return {name: value for name, value in words.items() if name not in own}
