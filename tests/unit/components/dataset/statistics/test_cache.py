from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from components.core.spec import SAWYER_CELL
from components.dataset.statistics.cache import StatisticsCache, cache_key
from components.dataset.stats import RunningStats, measure

PLACES = np.array([[0, 5], [5, 7]])


def steps(seed: int = 1, rows: int = 30) -> tuple[RunningStats, ...]:
    found = (RunningStats(), RunningStats())
    for running in found:
        running.add(*measure(np.random.default_rng(seed).normal(size=(rows, 2))))
    return found


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    cache = StatisticsCache(tmp_path / "cache")
    assert cache.get("a") is None
    cache.put("a", steps())
    found = cache.get("a")
    assert found is not None
    assert [step.as_dict() for step in found] == [step.as_dict() for step in steps()]


@pytest.mark.parametrize("damage", [b"", b"x" * 200])
def test_a_damaged_entry_counts_as_not_there(tmp_path: Path, damage: bytes) -> None:
    cache = StatisticsCache(tmp_path)
    cache.put("a", steps())
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(damage or data[: len(data) // 2])
    assert cache.get("a") is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = StatisticsCache(tmp_path)
    for number, key in enumerate("abc"):
        cache.put(key, steps())
        os.utime(tmp_path / f"{key}.stats", (number, number))
    size = (tmp_path / "a.stats").stat().st_size
    assert cache.get("a") is not None
    StatisticsCache(tmp_path, limit_bytes=2 * size + size // 2).put("d", steps())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.stats", "d.stats"]
    StatisticsCache(tmp_path, limit_bytes=1).put("e", steps())
    assert [path.name for path in tmp_path.iterdir()] == ["e.stats"]


def test_every_part_of_a_key_counts() -> None:
    keys = {
        cache_key("f" * 64, "step_delta", 1, SAWYER_CELL, PLACES),
        cache_key("e" * 64, "step_delta", 1, SAWYER_CELL, PLACES),
        cache_key("f" * 64, "chunk_relative", 1, SAWYER_CELL, PLACES),
        cache_key("f" * 64, "chunk_relative", 2, SAWYER_CELL, PLACES),
        cache_key("f" * 64, "step_delta", 1, SAWYER_CELL, PLACES[:1]),
    }
    assert len(keys) == 5
