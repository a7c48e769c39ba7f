from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import DatasetError, UsageError
from components.core.spec import Embodiment, StateGroup
from components.dataset.frames import EpisodeFrames
from components.dataset.loading.choose import Choice
from components.dataset.loading.loader import Loader
from components.dataset.loading.mixture import MixedPools, weights_by_embodiment
from components.dataset.loading.order import RunOrder
from components.dataset.loading.settings import LoaderSettings
from components.dataset.parts import Part, part_of, parts_of
from components.dataset.writer import DatasetWriter

SETTINGS = LoaderSettings(chunk=4, run_frames=5, pool_windows=40)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    run=st.integers(1, 20),
    world=st.integers(1, 3),
    data=st.data(),
)
def test_sources_get_their_share_and_every_window_of_each_in_turn(
    sizes: list[int], run: int, world: int, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.floats(0.05, 1), min_size=len(sizes), max_size=len(sizes)))
    rank = data.draw(st.integers(0, world - 1))
    orders = [RunOrder(size, run, (3, number), rank=rank, world=world) for number, size in enumerate(sizes)]
    plan = MixedPools(orders, weights, 8 * run, (3, rank))
    starts = np.cumsum([0, *sizes])
    seen: list[int] = []
    while len(seen) < 200:
        pool = plan.pool_at(len(seen))
        assert pool.start == len(seen)
        inside = plan.pool_at(data.draw(st.integers(pool.start, pool.stop - 1)))
        assert (inside.start, inside.size) == (pool.start, pool.size)
        windows = np.concatenate([np.arange(at, at + n) for at, n in zip(pool.first, pool.count, strict=True)])
        assert len(windows) == pool.size
        seen += windows.tolist()
        counts = np.histogram(seen, starts)[0]
        share = np.array(weights) / sum(weights) * len(seen)
        # Two runs of its own, and what the others are off by.
        assert (np.abs(counts - share) <= 2 * run * (1 + len(sizes))).all()
    for number, size in enumerate(sizes):
        mine = [window - starts[number] for window in seen if starts[number] <= window < starts[number + 1]]
        for first in range(0, len(mine) - size * world + 1, size * world):
            # In `world` epochs of a source a rank sees as many windows as it has, in one rank each once.
            if world == 1:
                assert sorted(mine[first : first + size]) == list(range(size))


def test_a_source_of_small_weight_is_not_forgotten() -> None:
    orders = [RunOrder(10_000, 10, (1, number)) for number in range(2)]
    # A hundredth of a run a pool.
    plan = MixedPools(orders, [0.999, 0.001], 100, (1,))
    position = rare = 0
    while position < 200_000:
        pool = plan.pool_at(position)
        rare += int(pool.count[pool.first >= 10_000].sum())
        position = pool.stop
    assert abs(rare - 200) <= 20


def test_a_weight_of_none_means_never() -> None:
    orders = [RunOrder(50, 10, (1, number)) for number in range(2)]
    plan = MixedPools(orders, [0.0, 1.0], 20, (1,))
    assert all((plan.pool_at(position).first >= 50).all() for position in range(0, 500, 20))


def test_shares_are_of_windows_though_episodes_are_short(
    tmp_path: Path, make_episode: Callable[..., EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    parts = []
    for name, lengths in (("long", [60, 60]), ("short", [3])):
        write_tree(tmp_path / name, [make_episode(seed, length=length) for seed, length in enumerate(lengths)])
        parts += parts_of(tmp_path / name)
    with Loader(parts, SETTINGS, seed=1, weights=[1, 1]) as loader:
        source = loader.batch(0, 800)["source"]
    assert abs((source == 0).mean() - 0.5) < 0.03


def test_without_weights_every_window_of_every_source_comes_once(parts: list[Part]) -> None:
    both = [part_of(parts[0].dataset, [0, 1]), part_of(parts[0].dataset, [2, 3, 4])]
    with Loader(both, SETTINGS, seed=1) as loader:
        batch = loader.batch(0, len(loader))
    found = set(zip(batch["episode"].tolist(), batch["frame"].tolist(), strict=True))
    assert len(found) == len(batch["source"]) == 115
    np.testing.assert_array_equal(batch["source"], (batch["episode"] >= 2).astype(int))


@pytest.fixture(scope="module")
def two_robots(tmp_path_factory: pytest.TempPathFactory, cell: Embodiment, make_episode: Any, video: Any) -> list[Part]:
    """A cell with two cameras, state and action of 4, and an arm with one camera of its own, state of 7."""
    arm = replace(
        cell,
        name="arm",
        observation=replace(
            cell.observation,
            cameras=("wrist", "top"),
            state=(StateGroup("joints", tuple(f"j{number}" for number in range(7)), "rad", "state"),),
        ),
    )
    parts = []
    for name, robot in (("cell", cell), ("arm", arm)):
        root = tmp_path_factory.mktemp("robots") / name
        with DatasetWriter(root, robot, 20, video) as writer:
            for seed in range(2):
                width = len(robot.observation.state_names)
                state = np.random.default_rng(seed).normal(size=(15, width)).astype(np.float32)
                row = make_episode(seed).row | {"embodiment": robot.name}
                writer.add_frames(make_episode(seed, length=15, embodiment=robot, state=state, row=row))
            writer.close()
        parts += parts_of(root)
    return parts


def test_robots_share_a_batch_and_masks_say_what_each_has(two_robots: list[Part]) -> None:
    for choice in (None, Choice("memory", "asked for", 0)):
        with Loader(two_robots, SETTINGS, seed=1, choice=choice) as loader:
            assert loader.cameras == ("fixed", "wrist", "top")
            batch = loader.batch(0, 90)
            for number in range(90):
                row, frame = int(batch["episode"][number]), int(batch["frame"][number])
                part = loader.episodes.part_of(row)
                index, width = int(loader.episodes.index[row]), (4, 7)[batch["source"][number]]
                columns = part.dataset.frames(index)
                np.testing.assert_array_equal(batch["state"][number, :width], columns["observation.state"][frame])
                assert batch["state_mask"][number].tolist() == [True] * width + [False] * (7 - width)
                assert not batch["state"][number, width:].any()
                assert batch["action_mask"][number].all()
                for place, camera in enumerate(loader.cameras):
                    has = camera in part.dataset.cameras
                    assert batch["image_mask"][number, place] == has
                    expected = part.dataset.images(index, camera)[frame] if has else 0
                    np.testing.assert_array_equal(batch["images"][number, place], expected)


def test_weights_by_embodiment_are_divided_by_size(two_robots: list[Part], parts: list[Part]) -> None:
    weights = weights_by_embodiment([*two_robots, *parts], {"sawyer-cell": 0.6, "arm": 0.4})
    assert weights == pytest.approx((0.6 * 30 / 145, 0.4, 0.6 * 115 / 145))
    with pytest.raises(UsageError, match=r"embodiment 'arm' has no weight\. The datasets are of arm, sawyer-cell"):
        weights_by_embodiment(two_robots, {"sawyer-cell": 1})
    with pytest.raises(UsageError, match="embodiment 'panda' has no dataset"):
        weights_by_embodiment(two_robots, {"sawyer-cell": 1, "arm": 1, "panda": 1})


def test_weights_that_are_none_are_refused(two_robots: list[Part]) -> None:
    wrong: list[tuple[list[float], str]] = [
        ([1.0], "1 weights for 2 datasets"),
        ([1.0, -1.0], "the weight of 'arm' is -1.0"),
        ([1.0, float("nan")], "the weight of 'arm' is nan"),
        ([0.0, 0.0], "all weights are 0"),
    ]
    for weights, message in wrong:
        with pytest.raises(UsageError, match=message):
            Loader(two_robots, SETTINGS, seed=1, weights=weights)


def test_pictures_of_two_sizes_are_refused(
    tmp_path: Path, cell: Embodiment, parts: list[Part], make_episode: Any, video: Any
) -> None:
    large = replace(cell, observation=replace(cell.observation, image_px=48))
    with DatasetWriter(tmp_path / "large", large, 20, video) as writer:
        writer.add_frames(make_episode(1, length=5, embodiment=large))
        writer.close()
    with pytest.raises(DatasetError, match="tree 32 px, large 48 px"):
        Loader([*parts, *parts_of(tmp_path / "large")], SETTINGS, seed=1)
