"""Reads what is pending in the order of the sources, and hands each episode to the build exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from tqdm import tqdm

from components.core.errors import StageFailed
from components.dataset.deleted import DELETED
from components.dataset.prepared import PreparedEpisode
from components.ingest.build import Build
from components.ingest.executor import Pool
from components.ingest.ledger import DUPLICATE, PENDING, Entry, Ledger
from components.ingest.pool import Workers
from components.ingest.report import Quarantined
from components.ingest.sources import Source
from components.ingest.spool import Spool, spool_key
from components.ingest.work import Opened, Part, Worker, crashed, part_of


class Reading:
    """One pass over new sources. Afterwards no entry of the ledger is pending but those of `usurpers`.

    `usurpers`: episode_id -> a new part that holds an episode of the dataset and comes before the part that it was read
    from. A fresh build would have taken it instead, so the dataset has to be rebuilt; it waits in the spool.
    `deleted`: ids of episodes that are not taken in again.
    """

    def __init__(self, ledger: Ledger, spool: Spool, settings: str, deleted: Collection[str] = ()) -> None:
        self._ledger = ledger
        self._spool = spool
        self._settings = settings
        self._deleted = deleted
        self._owners = {entry.episode_id: entry for entry in ledger.episodes}
        self._opened: dict[str, Opened] = {}
        self.usurpers: dict[str, Entry] = {}
        self.added = 0

    def open(self, pool: Pool, worker: Worker, sources: Sequence[Source]) -> None:
        """Lists the episodes of sources; those that are new to the ledger are pending in it."""
        for source, result in zip(sources, pool.map(worker.open, sources, crashed), strict=True):
            if isinstance(result, Quarantined):
                self._ledger.replace_source(source.uri, [_refused(source, result)])
            else:
                self._opened[source.uri] = result
                known = {entry.part: entry for entry in self._ledger.of(source.uri)}
                fresh = {part: _pending(source, part) for part in result.recording.parts}
                self._ledger.replace_source(source.uri, (known.get(part, fresh[part]) for part in fresh))

    def read(self, pool: Pool, worker: Worker, build: Build) -> None:
        """Makes every pending part an episode, a double or a quarantined one; commits when it is due."""
        positions, committed = self._ledger.positions(), []
        for entry, result in self._results(pool, worker):
            if isinstance(result, Quarantined):
                self._ledger.put(replace(entry, code=result.code, detail=result.detail))
                continue
            owner = self._owners.get(result.episode_id)
            if result.episode_id in self._deleted:
                self._ledger.put(replace(entry, episode_id=result.episode_id, code=DELETED))
                self._spool.drop([self.key(entry)])
            elif owner is None:
                build.add(result)
                self._take(entry, result)
                committed.append(self.key(entry))
                self.added += 1
            elif positions[owner.uri, owner.part] < positions[entry.uri, entry.part]:
                self._ledger.put(replace(entry, episode_id=result.episode_id, code=DUPLICATE))
                self._spool.drop([self.key(entry)])
            else:
                self.usurpers[result.episode_id] = entry
                self._owners[result.episode_id] = entry
            if build.is_due:
                build.commit()
                self._spool.drop(committed)
                committed = []

    def enthrone(self) -> Callable[[Entry], PreparedEpisode | None]:
        """Makes the usurpers the episodes and those before them their doubles; gives the ones that the spool holds."""
        keys = {}
        for episode_id, entry in self.usurpers.items():
            for other in self._ledger.episodes:
                if other.episode_id == episode_id:
                    self._ledger.put(replace(other, code=DUPLICATE))
            self._ledger.put(replace(entry, episode_id=episode_id, code=""))
            keys[entry.name] = self.key(entry)

        def spooled(entry: Entry) -> PreparedEpisode | None:
            if entry.name not in keys:
                return None
            episode = self._spool.get(keys[entry.name])
            if episode is None:
                raise StageFailed("the spool lost an episode", where=str(self._spool.folder), hint="Run ingest again")
            return episode

        return spooled

    def key(self, entry: Entry) -> str:
        return spool_key(entry.uri, entry.sha256, entry.part, self._settings)

    def _take(self, entry: Entry, episode: PreparedEpisode) -> None:
        taken = replace(entry, episode_id=episode.episode_id, code="")
        self._ledger.put(taken)
        self._owners[episode.episode_id] = taken

    def _results(self, pool: Pool, worker: Worker) -> Iterator[tuple[Entry, PreparedEpisode | Quarantined]]:
        """Every pending part with what became of it; those that a killed run spooled are not read again."""
        entries = self._ledger.pending
        spooled = {entry.name for entry in entries if self._spool.holds(self.key(entry))}
        results = pool.map(worker.prepare, (self._part(one) for one in entries if one.name not in spooled), crashed)
        with _Progress(len(entries)) as progress:
            for entry in entries:
                result = self._spooled(entry, worker) if entry.name in spooled else self._kept(entry, next(results))
                progress.count(0 if isinstance(result, Quarantined) else len(result))
                yield entry, result

    def _part(self, entry: Entry) -> Part:
        return part_of(self._opened[entry.uri], entry.part)

    def _kept(self, entry: Entry, prepared: bytes | Quarantined) -> PreparedEpisode | Quarantined:
        if isinstance(prepared, Quarantined):
            return prepared
        self._spool.put(self.key(entry), prepared)
        return PreparedEpisode.from_bytes(prepared)

    def _spooled(self, entry: Entry, worker: Worker) -> PreparedEpisode | Quarantined:
        episode = self._spool.get(self.key(entry))
        if episode is not None:
            return episode
        # It was damaged. The pool is busy with the parts after it.
        with Workers(1) as own:
            return self._kept(entry, next(own.map(worker.prepare, [self._part(entry)], crashed)))


class _Progress:
    """Episodes, frames a second and the time that is left, on stderr of a terminal."""

    def __init__(self, total: int) -> None:
        self._bar = tqdm(total=total, desc="ingest", unit=" episodes", disable=None)
        self._frames = 0
        self._begun = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def count(self, frames: int) -> None:
        self._frames += frames
        per_second = self._frames / max(1e-9, time.monotonic() - self._begun)
        self._bar.set_postfix({"frames/s": round(per_second)}, refresh=False)
        self._bar.update()


def _refused(source: Source, why: Quarantined) -> Entry:
    return Entry(source.uri, source.key, source.found.format, "", code=why.code, detail=why.detail)


def _pending(source: Source, part: str) -> Entry:
    return Entry(source.uri, source.key, source.found.format, part, code=PENDING)
