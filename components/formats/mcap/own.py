"""MCAP files that gripline wrote: how they are to be read, and the id that their episode carries."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Words
from dataclasses import dataclass, field
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
    calibration_from,
    carried_from,
    carried_id,
    mapping_or_problem,
)
from components.formats.mapping import Mapping
from components.formats.mcap.pictures import COMPRESSED, RAW
from components.formats.mcap.summary import read_summary
from components.formats.mcap.topics import Source


@dataclass
class Seal:
    """Takes in the messages of `topics`, those of each in the order of the file; how topics are mixed does not matter.

    Of pictures only the log times count: an id covers when a camera looked, not what it saw.
    """

    topics: Collection[str]
    _times: dict[str, array[int]] = field(default_factory=dict)
    _digests: dict[str, Any] = field(default_factory=dict)

    def add(self, topic: str, log_ns: int, data: bytes, *, picture: bool) -> None:
        self._times.setdefault(topic, array("q")).append(log_ns)
        if not picture:
            self._digests.setdefault(topic, hashlib.sha256()).update(hashlib.sha256(data).digest())

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Per topic its log times in ns, and the digest of its messages."""
        digests = {name: np.frombuffer(one.digest(), np.uint8) for name, one in self._digests.items()}
        return digests | {f"{name} log_time": np.array(times, np.int64) for name, times in self._times.items()}


def is_picture(source: Source) -> bool:
    return source.type_name in RAW or source.type_name in COMPRESSED


def own_metadata(paths: Sequence[Path], *, where: str) -> dict[str, str]:
    """What gripline wrote about a file, {} for one of somebody else's; only its summary is read.

    Files that were put together hold several episodes, and none of their ids.
    """
    contents = read_summary(paths[0], where=where) if len(paths) == 1 else None
    found = [words for name, words in contents.metadata if name == KEY] if contents else []
    return found[0] if len(found) == 1 else {}


def own_mapping(own: Words[str, str], problems: list[FormatError], *, where: str) -> Mapping | None:
    """The mapping of a file that gripline wrote. Where what it says is damaged, it is read as anybody's."""
    return mapping_or_problem(lambda: _carried(own, where), problems)


def seal_for(own: Words[str, str], *, where: str) -> Seal | None:
    """What the messages of a recording go through, None for one of somebody else's."""
    try:
        carried = _carried(own, where)
    except FormatError:
        # A problem of the file, which was said when it was opened.
        return None
    return Seal(frozenset(carried.columns)) if carried else None


def opened_seal(
    seal: Seal, own: Words[str, str], words: Words[str, str], *, where: str
) -> tuple[dict[str, str], dict[str, Any], str]:
    """Notes, calibration and id of an episode all of whose messages went through `seal`; `words`: what else it says.

    Raises `FormatError` (bad_metadata).
    """
    kept = carried_id({**words, **own}, seal.columns())
    return {} if kept else DROPPED, calibration_from(own.get(CALIBRATION, ""), where=where), kept


def _carried(own: Words[str, str], where: str) -> Carried | None:
    return carried_from(own[KEY], where=where) if KEY in own else None
