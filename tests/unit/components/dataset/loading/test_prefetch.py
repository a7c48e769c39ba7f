from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from components.dataset.loading.columns import ColumnsCache
from components.dataset.loading.episodes import EpisodeList
from components.dataset.loading.mixture import EpochPools, PoolOrder
from components.dataset.loading.order import RunOrder
from components.dataset.loading.pool import Pool
from components.dataset.loading.prefetch import Prefetcher
from components.dataset.loading.settings import LoaderSettings
from components.dataset.loading.shapes import Shapes
from components.dataset.parts import Part
from components.dataset.reader import Dataset

SETTINGS = LoaderSettings(chunk=2, run_frames=5, pool_windows=10)


class Watched:
    """A source without pictures that counts the pools in its memory."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work, self.held, self.most, self.filled = work, 0, 0, 0

    def columns(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("not asked for")

    def jobs(self, pool: Pool) -> list[Callable[[], None]]:
        self.held += 1
        self.most = max(self.most, self.held)
        return [self.job] * 3

    def job(self) -> None:
        self.work()
        self.filled += 1

    def take(self, pool: Pool, slots: np.ndarray, out: np.ndarray) -> None:
        raise AssertionError("not asked for")

    def release(self, pool: Pool) -> None:
        self.held -= 1

    def close(self) -> None: ...


@pytest.fixture
def make(parts: list[Part]) -> Callable[[Watched], Prefetcher]:
    """A prefetcher of one thread over 115 windows."""
    episodes, shapes = EpisodeList(parts), Shapes(parts)

    def build(order: PoolOrder) -> Pool:
        return Pool(order, episodes, shapes, SETTINGS)

    plan = EpochPools(RunOrder(episodes.frames, 5, (1,)), 2, (1, 0))
    return lambda source: Prefetcher(plan, source, build, threads=1)


def test_the_next_pool_fills_while_one_is_served_and_no_third(make: Callable[[Watched], Prefetcher]) -> None:
    source = Watched(lambda: None)
    prefetcher = make(source)
    for position in (0, 3, 9, 10, 25, 31, 112, 118, 4):
        pool = prefetcher.pool_at(position)
        assert pool.order.start <= position < pool.order.stop
        assert source.held == 2
    assert source.most == 2
    prefetcher.close()
    assert source.held == 0


def test_a_jump_drops_what_was_not_begun(make: Callable[[Watched], Prefetcher]) -> None:
    go = threading.Event()
    go.set()
    source = Watched(lambda: None if go.wait(30) else pytest.fail("nobody went on"))
    prefetcher = make(source)
    prefetcher.pool_at(0)
    prefetcher.pool_at(50)
    # Three jobs for each of the two pools that were served, at most one begun and three done of the pools ahead.
    go.clear()
    threading.Timer(0.05, go.set).start()
    prefetcher.close()
    assert 6 <= source.filled <= 12
    assert source.held == 0


def test_an_error_in_a_thread_reaches_the_caller_and_leaves_nothing_behind(
    make: Callable[[Watched], Prefetcher],
) -> None:
    broken = [True]

    def work() -> None:
        if broken[0]:
            raise ValueError("a broken file")

    source = Watched(work)
    prefetcher = make(source)
    with pytest.raises(ValueError, match="a broken file"):
        prefetcher.pool_at(0)
    assert source.held == 0
    broken[0] = False
    assert prefetcher.pool_at(0).order.start == 0
    prefetcher.close()


def test_numbers_of_an_episode_are_read_once_while_there_is_room(
    parts: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    frames = Dataset.frames

    def counted(self: Dataset, index: int, *rest: object) -> object:
        read.append(index)
        return frames(self, index, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Dataset, "frames", counted)
    episodes = EpisodeList(parts)
    roomy, tight = ColumnsCache(episodes), ColumnsCache(episodes, most_bytes=2 * 31 * 8 * 4)
    for row in (0, 1, 0, 1, 2, 0):
        roomy.columns(row)
    assert read == episodes.index[[0, 1, 2]].tolist()
    read.clear()
    for row in (0, 1, 2, 3, 4, 0, 4):
        state, action = tight.columns(row)
        assert len(state) == len(action) == episodes.length[row]
    assert read == episodes.index[[0, 1, 2, 3, 4, 0]].tolist()
