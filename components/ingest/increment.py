"""What a run has to do, from what the dataset holds and from what lies there now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.ingest.ledger import DUPLICATE, PENDING, Entry, Ledger, as_pending
from components.ingest.report import Quarantined
from components.ingest.sources import Source


@dataclass(frozen=True)
class Increment:
    """`ledger`: what stays known; `gone`: episodes of the dataset whose source is not there any more, or is another;
    `unread`: sources of which something is to be read.
    """

    ledger: Ledger
    gone: tuple[Entry, ...]
    unread: tuple[Source, ...]


def increment(known: Iterable[Entry], sources: Sequence[Source], broken: Iterable[Quarantined] = ()) -> Increment:
    """Compares the ledger of a dataset with the sources of now; `broken`: what is there and is no source."""
    keys = {source.uri: source.key for source in sources}
    kept, gone = [], []
    for entry in known:
        if keys.get(entry.uri) == entry.sha256:
            kept.append(entry)
        elif entry.is_episode:
            gone.append(entry)
    there = {entry.episode_id for entry in kept if entry.is_episode}
    # A double whose other self went with its source is an episode again.
    ledger = Ledger(
        as_pending(entry) if entry.code == DUPLICATE and entry.episode_id not in there else entry for entry in kept
    )
    unread = tuple(source for source in sources if _is_unread(ledger.of(source.uri)))
    for problem in broken:
        ledger.put(Entry(problem.source, "", "", "", code=problem.code, detail=problem.detail))
    return Increment(ledger, tuple(gone), unread)


def _is_unread(entries: Sequence[Entry]) -> bool:
    return not entries or any(entry.code == PENDING for entry in entries)
