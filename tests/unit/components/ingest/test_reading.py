from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.core.params import Ingest
from components.core.spec import SAWYER_CELL
from components.dataset.prepared import PreparedEpisode
from components.ingest.increment import increment
from components.ingest.pool import Workers
from components.ingest.reading import Reading
from components.ingest.report import Quarantined
from components.ingest.sources import find_all, keyed
from components.ingest.spool import Spool
from components.ingest.work import Part, Worker


def read(raw: Path, spool: Spool, params: Ingest) -> list[str]:
    """Ids of all episodes below `raw`, in the order in which the build gets them; it commits none of them."""
    found, _ = find_all([raw], raw.with_name("out"))
    sources = keyed(found, (), None, cache=None, threads=1)
    reading, pool, worker = (
        Reading(increment((), sources).ledger, spool, "s"),
        Workers(0),
        Worker(params, SAWYER_CELL),
    )
    reading.open(pool, worker, sources)
    added: list[PreparedEpisode] = []
    build: Any = SimpleNamespace(add=added.append, is_due=False)
    reading.read(pool, worker, build)
    return [episode.episode_id for episode in added]


def test_what_a_killed_run_spooled_is_loaded_once_and_not_prepared(
    raw: Path, params: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: Counter[str] = Counter()
    prepared: Counter[str] = Counter()
    get, prepare = Spool.get, Worker.prepare

    def counted_get(self: Spool, key: str) -> PreparedEpisode | None:
        loaded[key] += 1
        return get(self, key)

    def counted_prepare(self: Worker, part: Part) -> bytes | Quarantined:
        prepared[part.uri] += 1
        return prepare(self, part)

    monkeypatch.setattr(Spool, "get", counted_get)
    monkeypatch.setattr(Worker, "prepare", counted_prepare)
    with Spool(tmp_path / "spool") as spool:
        first = read(raw, spool, params)
        assert (len(first), loaded.total()) == (5, 0)
        assert read(raw, spool, params) == first
    assert sorted(prepared.values()) == sorted(loaded.values()) == [1] * 5


@pytest.mark.parametrize("damage", [b"", b"not an episode"])
def test_what_was_damaged_in_the_spool_is_prepared_again_in_its_place(
    raw: Path, params: Ingest, tmp_path: Path, damage: bytes
) -> None:
    with Spool(tmp_path / "spool") as spool:
        first = read(raw, spool, params)
        damaged = sorted(spool.folder.iterdir())[2]
        whole = damaged.read_bytes()
        damaged.write_bytes(damage)
        assert read(raw, spool, params) == first
        assert damaged.read_bytes() == whole
