"""What became of the recordings, for people and for `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.errors import InputError


@dataclass(frozen=True)
class Quarantined:
    """A file or episode that is left out; `source`: file or file#part."""

    source: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class IngestReport:
    """`episodes_in` counts an unreadable file as one: it is `episodes_out` plus everything in `quarantined`.

    `added`: how many of the episodes were not in the dataset before this run.
    """

    episodes_in: int
    episodes_out: int
    frames: int
    quarantined: tuple[Quarantined, ...]
    dataset_digest: str
    added: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "episodes_in": self.episodes_in,
            "episodes_out": self.episodes_out,
            "frames": self.frames,
            "quarantined": [entry.as_dict() for entry in self.quarantined],
            "dataset_digest": self.dataset_digest,
        }


def quarantined(uri: str, error: InputError) -> Quarantined:
    place = "" if error.where in (None, uri) else f"{error.where}: "
    return Quarantined(uri, error.code, place + error.message)


def nothing_usable(entries: Sequence[Quarantined], sources: Sequence[Path]) -> InputError:
    """For a run that found files and no episode in them."""
    where = ", ".join(map(str, sources))
    counts = Counter(entry.code for entry in entries)
    listed = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    first = entries[0]
    return InputError(
        f"no usable episode ({listed}); the first: {first.source}: {first.detail}",
        where=where,
        hint="`gripline inspect` lists what is wrong with each file",
    )
