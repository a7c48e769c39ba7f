"""What became of the recordings, for people and for `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.errors import InputError

_MAPPING = "Write a mapping with `gripline inspect FILE --write-map robots/maps/NAME.yaml`"
# What to do where nothing could be used, by the first reason.
_MENDS = {
    "missing_stream": f"{_MAPPING} and give its streams the names that the embodiment takes",
    "missing_task": f"{_MAPPING} and say `task` under `constants`, or give a cut list",
    "wrong_form": f"{_MAPPING} and say what the recording uses, or say it in the embodiment",
    "wrong_shape": f"{_MAPPING} and `select` the columns that the embodiment names",
    "manifest": "Give the recordings, or the folders of the datasets that it names",
    "wrong_embodiment": "Name the robot with --embodiment or `ingest.embodiment` of params.yaml",
}


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

    `added`: how many of the episodes were not in the dataset before this run; `deleted`: how many still lie among the
    recordings and were left out because they were deleted from the dataset, which `episodes_in` does not count.
    """

    episodes_in: int
    episodes_out: int
    frames: int
    quarantined: tuple[Quarantined, ...]
    dataset_digest: str
    added: int = 0
    deleted: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "episodes_in": self.episodes_in,
            "episodes_out": self.episodes_out,
            "frames": self.frames,
            "deleted": self.deleted,
            "quarantined": [entry.as_dict() for entry in self.quarantined],
            "dataset_digest": self.dataset_digest,
        }


def quarantined(uri: str, error: InputError, *, note: str = "") -> Quarantined:
    """`note`: what else may help."""
    place = "" if error.where in (None, uri) else f"{error.where}: "
    return Quarantined(uri, error.code, place + error.message + (f"; {note}" if note else ""))


def nothing_usable(entries: Sequence[Quarantined], sources: Sequence[Path]) -> InputError:
    """For a run that found files and no episode in them."""
    where = ", ".join(map(str, sources))
    if not entries:
        return InputError("every episode was deleted from the dataset", where=where, hint="Add other recordings")
    counts = Counter(entry.code for entry in entries)
    listed = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    first = entries[0]
    return InputError(
        f"no usable episode ({listed}); the first: {first.source}: {first.detail}",
        where=where,
        hint=_MENDS.get(first.code, "`gripline inspect` lists what is wrong with each file"),
    )
