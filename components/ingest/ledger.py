"""What became of each part of each source: the table `meta/gripline/sources.parquet` of the dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from components.dataset.deleted import DELETED
from components.ingest.report import Quarantined

# Not an outcome: a part that was seen and not read yet; none is left when a run ends.
PENDING = "pending"
DUPLICATE = "duplicate_episode"


@dataclass(frozen=True)
class Entry:
    """`sha256`: key of the source, see `sources`; `code`: "" for an episode of the dataset.

    A source that cannot be opened has one entry without a part, and one that is no source at all has no key either.
    """

    uri: str
    sha256: str
    format: str
    part: str
    episode_id: str = ""
    code: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        return f"{self.uri}#{self.part}" if self.part else self.uri

    @property
    def is_episode(self) -> bool:
        return not self.code


class Ledger:
    """Entries by source, sorted by its name; the parts of a source in the order in which it holds them."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._sources: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            self.put(entry)

    def __iter__(self) -> Iterator[Entry]:
        for uri in sorted(self._sources):
            yield from self._sources[uri].values()

    def put(self, entry: Entry) -> None:
        """Adds an entry behind those of its source, or takes the place of the one for this part."""
        self._sources.setdefault(entry.uri, {})[entry.part] = entry

    def of(self, uri: str) -> list[Entry]:
        return list(self._sources.get(uri, {}).values())

    def replace_source(self, uri: str, entries: Iterable[Entry]) -> None:
        self._sources[uri] = {entry.part: entry for entry in entries}

    @property
    def episodes(self) -> list[Entry]:
        return [entry for entry in self if entry.is_episode]

    @property
    def pending(self) -> list[Entry]:
        return [entry for entry in self if entry.code == PENDING]

    @property
    def deleted(self) -> list[Entry]:
        """Parts that are still there and hold an episode that was deleted from the dataset."""
        return [entry for entry in self if entry.code == DELETED]

    def quarantined(self) -> list[Quarantined]:
        """Sorted; a double names the episode that is in the dataset."""
        owners = {entry.episode_id: entry.name for entry in self.episodes}
        listed = []
        for entry in self:
            if entry.code == DUPLICATE:
                listed.append(Quarantined(entry.name, DUPLICATE, f"the same episode as {owners[entry.episode_id]}"))
            elif entry.code not in ("", PENDING, DELETED):
                listed.append(Quarantined(entry.name, entry.code, entry.detail))
        return sorted(listed, key=lambda entry: (entry.source, entry.code, entry.detail))

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self]

    def positions(self) -> dict[tuple[str, str], tuple[str, int]]:
        """(uri, part) -> what episodes are ordered by: of two that are the same, the first is taken."""
        return {
            (uri, part): (uri, number) for uri, entries in self._sources.items() for number, part in enumerate(entries)
        }


def as_pending(entry: Entry) -> Entry:
    return replace(entry, episode_id="", code=PENDING, detail="")
