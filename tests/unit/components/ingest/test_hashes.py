from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from components.formats.registry import content_sha256
from components.ingest import hashes
from components.ingest.hashes import content_digests, stat_digest

LONG_AGO = 10**18


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """A file and a folder, last written long ago."""
    folder = tmp_path / "set"
    for name, word in (("b.txt", "b"), ("deep/a.txt", "a"), (".hidden", "h")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(word)
    (tmp_path / "one.mcap").write_text("one")
    for path in tmp_path.rglob("*"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return [tmp_path / "one.mcap", folder]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    healthy = hashes.sha256_file
    monkeypatch.setattr(hashes, "sha256_file", lambda path: (names.append(path.name), healthy(path))[1])
    return names


def test_they_are_those_of_the_registry(sources: list[Path], tmp_path: Path) -> None:
    expected = [content_sha256(path) for path in sources]
    assert content_digests(sources, None) == expected
    assert content_digests(sources, tmp_path / "cache/h.sqlite", threads=3) == expected
    assert content_digests(sources, tmp_path / "cache/h.sqlite") == expected


def test_what_is_as_it_was_is_not_read(sources: list[Path], tmp_path: Path, hashed: list[str]) -> None:
    cache = tmp_path / "h.sqlite"
    content_digests(sources, cache)
    assert sorted(hashed) == [".hidden", "a.txt", "b.txt", "one.mcap"]
    hashed.clear()
    content_digests(sources, cache)
    assert hashed == []


@pytest.mark.parametrize("change", ["size", "mtime", "inode"])
def test_what_changed_is_read(sources: list[Path], tmp_path: Path, hashed: list[str], change: str) -> None:
    cache, path = tmp_path / "h.sqlite", sources[0]
    (before, _) = content_digests(sources, cache)
    hashed.clear()
    if change == "inode":
        (tmp_path / "other").write_text("two")
        os.utime(tmp_path / "other", ns=(LONG_AGO, LONG_AGO))
        (tmp_path / "other").replace(path)
    else:
        path.write_text("three" if change == "size" else "two")
        os.utime(path, ns=(LONG_AGO, LONG_AGO if change == "size" else LONG_AGO + 1))
    (after, _) = content_digests(sources, cache)
    assert hashed == ["one.mcap"]
    assert after != before
    assert after == content_sha256(path)


def test_what_was_written_just_now_is_not_remembered(sources: list[Path], tmp_path: Path, hashed: list[str]) -> None:
    """A change within the same tick of the file system's clock would show in nothing but the bytes."""
    now = time.time_ns()
    os.utime(sources[0], ns=(now, now))
    for _ in range(2):
        content_digests(sources, tmp_path / "h.sqlite")
    assert hashed.count("one.mcap") == 2
    assert hashed.count("a.txt") == 1


def test_a_damaged_cache_costs_time_alone(sources: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "h.sqlite"
    cache.write_bytes(b"no database" * 100)
    expected = [content_sha256(path) for path in sources]
    assert content_digests(sources, cache) == expected
    with closing(sqlite3.connect(cache)) as database:
        assert database.execute("SELECT COUNT(*) FROM files").fetchone() == (4,)


def test_a_cache_that_somebody_holds_costs_time_alone(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(hashes.sqlite3, "connect", lambda path: connect(path, timeout=0.01))
    cache = tmp_path / "h.sqlite"
    with closing(connect(cache)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert content_digests(sources, cache) == [content_sha256(path) for path in sources]
    assert content_digests(sources, cache) == [content_sha256(path) for path in sources]


@pytest.mark.parametrize("small", [True, False])
def test_a_stat_digest_tells_what_changes_in_a_folder(
    sources: list[Path], small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, folder) = sources
    monkeypatch.setattr(hashes, "_SMALL_FOLDER", 64 if small else 1)
    seen = {stat_digest(folder)}
    (folder / "new").touch()
    seen.add(stat_digest(folder))
    (folder / "new").rename(folder / "renamed")
    seen.add(stat_digest(folder))
    os.utime(folder / "b.txt", ns=(1, 1))
    seen.add(stat_digest(folder))
    assert len(seen) == (4 if small else 3)


def test_a_stat_digest_of_a_file_tells_that_it_was_written(sources: list[Path]) -> None:
    before = stat_digest(sources[0])
    assert stat_digest(sources[0]) == before
    sources[0].write_text("other")
    assert stat_digest(sources[0]) != before
