from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.loading.mixture import EpochPools, MixedPools, PoolPlan
from components.dataset.loading.order import RunOrder, Runs
from components.dataset.loading.permutation import Feistel, random_words, shuffled

Sizes = st.integers(1, 200)
Seeds = st.integers(0, 2**40)


def frames_of(runs: Runs) -> npt.NDArray[np.int64]:
    return np.concatenate(
        [np.arange(first, first + count) for first, count in zip(runs.first, runs.count, strict=True)]
    )


def windows_of(plan: PoolPlan, count: int) -> list[int]:
    """The first windows that come."""
    seen: list[int] = []
    while len(seen) < count:
        pool = plan.pool_at(len(seen))
        seen += frames_of(Runs(pool.first, pool.count))[pool.order].tolist()
    return seen[:count]


@settings(deadline=None)
@given(st.integers(1, 5000), Seeds)
def test_feistel_permutes(count: int, seed: int) -> None:
    there = Feistel(count, seed)(np.arange(count))
    assert sorted(there.tolist()) == list(range(count))
    np.testing.assert_array_equal(there, Feistel(count, seed)(np.arange(count)))


def test_feistel_works_where_no_array_would_fit() -> None:
    permute = Feistel(10**15, 3, 1)
    there = permute(np.arange(10**15 - 1000, 10**15))
    assert len(set(there.tolist())) == 1000
    assert ((there >= 0) & (there < 10**15)).all()
    # Spread over the range, not in a corner of it.
    assert abs(there.mean() / 10**15 - 0.5) < 0.05


@pytest.mark.parametrize("count", [2, 3, 5, 16, 40])
def test_every_number_of_a_feistel_is_equally_likely_at_every_place(count: int) -> None:
    keys = 4000
    seen = np.zeros((count, count))
    for key in range(keys):
        seen[np.arange(count), Feistel(count, key)(np.arange(count))] += 1
    expected = keys / count
    # Chi-square over count ** 2 cells: mean (count - 1) ** 2, standard deviation sqrt(2) * (count - 1).
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert abs(statistic - (count - 1) ** 2) < 5 * np.sqrt(2) * (count - 1) + 5


def test_neighbours_do_not_stay_together() -> None:
    steps = np.concatenate([np.diff(Feistel(1000, key)(np.arange(1000))) for key in range(50)])
    assert (np.abs(steps) == 1).mean() < 0.004  # 0.002 by chance


def test_random_numbers_are_the_same_in_every_version() -> None:
    assert random_words(2, 1, 2, 3).tolist() == [12997252459554536576, 4810247055756232647]
    assert shuffled(8, 1, 0).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]
    assert Feistel(10, 1, 0)(np.arange(10)).tolist() == [6, 3, 5, 7, 1, 4, 0, 9, 2, 8]


def test_the_order_of_windows_is_the_same_in_every_version() -> None:
    """A checkpoint holds a position and not the order: another order would train on other windows after a resume."""
    plan: PoolPlan = EpochPools(RunOrder(23, 3, (5,), rank=1, world=2), 2, (5, 1))
    assert windows_of(plan, 12) == [0, 10, 2, 1, 9, 11, 16, 7, 8, 6, 15, 16]
    plan = MixedPools([RunOrder(9, 3, (5, 0)), RunOrder(7, 3, (5, 1))], [1, 2], 9, (5, 0))
    assert windows_of(plan, 12) == [10, 11, 9, 12, 1, 0, 14, 15, 8, 13, 11, 3]


@settings(deadline=None)
@given(frames=Sizes, run=st.integers(1, 60), seed=Seeds, world=st.integers(1, 5), epoch=st.integers(0, 20))
def test_an_epoch_holds_every_window_once_over_all_ranks(
    frames: int, run: int, seed: int, world: int, epoch: int
) -> None:
    seen = []
    for rank in range(world):
        order = RunOrder(frames, run, (seed,), rank=rank, world=world)
        runs = order.of_epoch(epoch, 0, order.epoch_runs(epoch))
        assert int(runs.count.sum()) == order.epoch_frames(epoch)
        if len(runs.first):
            seen += frames_of(runs).tolist()
    assert sorted(seen) == list(range(frames))


@settings(deadline=None)
@given(frames=Sizes, run=st.integers(1, 60), seed=Seeds, world=st.integers(1, 5), data=st.data())
def test_a_rank_gets_as_many_windows_as_any_other(
    frames: int, run: int, seed: int, world: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, world - 1))
    order = RunOrder(frames, run, (seed,), rank=rank, world=world)
    assert sum(order.epoch_frames(epoch) for epoch in range(world)) == frames
    total = runs = 0
    for epoch in range(2 * world + 1):
        assert order.frames_before(runs) == total
        total, runs = total + order.epoch_frames(epoch), runs + order.epoch_runs(epoch)


@settings(deadline=None)
@given(frames=Sizes, run=st.integers(3, 60), seed=Seeds, world=st.integers(1, 3), data=st.data())
def test_runs_between_are_those_of_the_epochs_one_after_the_other(
    frames: int, run: int, seed: int, world: int, data: st.DataObject
) -> None:
    order = RunOrder(frames, run, (seed, 7), world=world)
    total = sum(order.epoch_runs(epoch) for epoch in range(2 * world))
    start, stop = sorted((data.draw(st.integers(0, total)), data.draw(st.integers(0, total))))
    whole = [
        order.of_epoch(epoch, number, number + 1)
        for epoch in range(2 * world)
        for number in range(order.epoch_runs(epoch))
    ]
    found = order.between(start, stop)
    assert int(found.count.sum()) == order.frames_before(stop) - order.frames_before(start)
    for name in ("first", "count"):
        expected = [value for part in whole[start:stop] for value in getattr(part, name).tolist()]
        assert getattr(found, name).tolist() == expected


@settings(deadline=None)
@given(
    frames=Sizes,
    run=st.integers(3, 40),
    per_pool=st.integers(1, 6),
    seed=Seeds,
    world=st.integers(1, 4),
    share=st.floats(0, 1, exclude_max=True),
    data=st.data(),
)
def test_every_window_comes_once_an_epoch_and_positions_have_no_gap(
    frames: int, run: int, per_pool: int, seed: int, world: int, share: float, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, world - 1))
    plan = EpochPools(RunOrder(frames, run, (seed,), rank=rank, world=world), per_pool, (seed, rank))
    position, seen = 0, []
    while position < 3 * frames:
        pool = plan.pool_at(position)
        assert pool.start == position
        assert 0 < pool.size <= per_pool * run
        inside = plan.pool_at(position + int(share * pool.size))
        assert (inside.start, inside.size) == (pool.start, pool.size)
        np.testing.assert_array_equal(inside.order, pool.order)
        assert sorted(pool.order.tolist()) == list(range(pool.size))
        seen += frames_of(Runs(pool.first, pool.count))[pool.order].tolist()
        position = pool.stop
    if world == 1:
        for epoch in range(3):
            assert sorted(seen[epoch * frames : (epoch + 1) * frames]) == list(range(frames))


def test_epochs_seeds_and_ranks_differ() -> None:
    rows = set()
    for seed in range(3):
        plan = EpochPools(RunOrder(1000, 10, (seed,)), 5, (seed, 0))
        for epoch in range(3):
            pool = plan.pool_at(epoch * 1000)
            rows.add(tuple(frames_of(Runs(pool.first, pool.count))[pool.order].tolist()))
    assert len(rows) == 9


def test_a_batch_mixes_frames_from_all_over_the_ring() -> None:
    plan = EpochPools(RunOrder(100_000, 32, (1,)), 32, (1, 0))
    pool = plan.pool_at(0)
    batch = frames_of(Runs(pool.first, pool.count))[pool.order[:32]]
    # 32 draws from 32 runs: 20.4 distinct runs are expected.
    assert len(set((batch // 200).tolist())) > 15


def test_pools_of_an_epoch_are_of_about_the_same_size() -> None:
    plan = EpochPools(RunOrder(1030, 10, (1,)), 25, (1, 0))
    sizes, position = [], 0
    while position < 1030:
        pool = plan.pool_at(position)
        sizes.append(pool.size)
        position = pool.stop
    assert sizes == [200, 210, 200, 210, 210]


def test_without_shuffle_windows_come_as_they_lie() -> None:
    plan = EpochPools(RunOrder(25, 4, (), shuffle=False), 2, (), shuffle=False)
    assert windows_of(plan, 50) == [*range(25), *range(25)]
