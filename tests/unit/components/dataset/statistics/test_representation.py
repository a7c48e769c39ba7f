from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import ContractError, DatasetError
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.buckets import ACCURACY
from components.dataset.edits.subset import write_subset
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import Part, part_of, parts_of
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.statistics import representation as module
from components.dataset.statistics.cache import StatisticsCache
from components.dataset.statistics.chunks import Frames, Represented
from components.dataset.statistics.representation import ActionStatistics, action_statistics
from components.dataset.stats import QUANTILES

Write = Callable[..., str]
Make = Callable[..., EpisodeFrames]
DATA = "data/chunk-000/file-{:03d}.parquet"


def whole(root: Path) -> Part:
    return part_of(Dataset.open(root))


def as_dicts(found: ActionStatistics) -> list[dict[str, Any]]:
    return [step.as_dict() for step in found.steps]


def chunk_rows(episodes: list[EpisodeFrames], cell: Embodiment, horizon: int) -> list[np.ndarray]:
    """The actions of each step of a chunk, episode by episode."""
    represented = Represented(cell, "chunk_relative", horizon)
    found: list[list[np.ndarray]] = [[] for _ in range(horizon)]
    for episode in episodes:
        frames = Frames(
            episode.state.astype(np.float64), episode.action.astype(np.float64), np.zeros(len(episode), np.int64)
        )
        for step, (_, actions) in enumerate(represented.steps(frames)):
            found[step].append(actions)
    return [np.concatenate(parts) for parts in found]


def test_each_step_of_a_chunk_has_statistics_of_its_own(
    tree: Path, episodes: list[EpisodeFrames], cell: Embodiment
) -> None:
    horizon = 20
    found = action_statistics([whole(tree)], "chunk_relative", horizon)
    stats, rows = found.result(), chunk_rows(episodes, cell, horizon)
    assert (stats["mean"].shape, found.horizon) == ((horizon, 4), horizon)
    assert stats["count"].tolist() == [len(part) for part in rows]
    np.testing.assert_allclose(stats["mean"], [part.mean(axis=0) for part in rows], atol=1e-14)
    np.testing.assert_allclose(stats["std"], [part.std(axis=0) for part in rows], rtol=1e-12)
    np.testing.assert_array_equal(stats["max"], [part.max(axis=0) for part in rows])
    for name, share in QUANTILES.items():
        true = np.array([np.quantile(part, share, axis=0, method="lower") for part in rows])
        assert (np.abs(stats[name] - true) <= ACCURACY * np.abs(true)).all()
    overall = found.overall().result()
    np.testing.assert_allclose(overall["mean"], np.concatenate(rows).mean(axis=0), atol=1e-14)


def test_the_first_step_of_recorded_steps_is_the_action_itself(tree: Path) -> None:
    part = whole(tree)
    steps = action_statistics([part], "step_delta").result()
    for name in ("min", "max", "count"):
        np.testing.assert_array_equal(steps[name], part.dataset.stats["action"][name])
    np.testing.assert_allclose(steps["std"], part.dataset.stats["action"]["std"], rtol=1e-12)


def test_order_blocks_and_datasets_do_not_change_a_bit(
    tmp_path: Path, write_tree: Write, make_episode: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = [make_episode(seed, length=30 - 3 * seed) for seed in range(6)]
    write_tree(tmp_path / "one", episodes)
    write_tree(tmp_path / "back", episodes[::-1], data_file_mb=0.0001)
    for name, some in (("a", episodes[:2]), ("b", episodes[2:])):
        write_tree(tmp_path / name, some)
    one = as_dicts(action_statistics([whole(tmp_path / "one")], "chunk_relative", 8))
    assert len(list((tmp_path / "back/data").rglob("*.parquet"))) > 1
    assert as_dicts(action_statistics([whole(tmp_path / "back")], "chunk_relative", 8)) == one
    both = [whole(tmp_path / name) for name in ("b", "a")]
    assert as_dicts(action_statistics(both, "chunk_relative", 8)) == one
    monkeypatch.setattr(module, "_BLOCK_FRAMES", 40)
    assert as_dicts(action_statistics([whole(tmp_path / "one")], "chunk_relative", 8)) == one


def test_some_episodes_and_their_gaps(tree: Path, episodes: list[EpisodeFrames], cell: Embodiment) -> None:
    found = action_statistics([part_of(Dataset.open(tree), [0, 3, 4])], "chunk_relative", 3).result()
    rows = chunk_rows([episodes[index] for index in (0, 3, 4)], cell, 3)
    assert found["count"].tolist() == [len(part) for part in rows]
    np.testing.assert_allclose(found["mean"], [part.mean(axis=0) for part in rows], atol=1e-14)


def test_broken_frames_are_left_out_of_every_chunk_that_has_them(
    tmp_path: Path, write_tree: Write, make_episode: Make
) -> None:
    action = make_episode(1).action.copy()
    action[10, 2] = np.nan
    action[11, 0] = np.inf
    write_tree(tmp_path / "tree", [make_episode(1, action=action), make_episode(2, length=2)])
    stats = action_statistics([whole(tmp_path / "tree")], "chunk_relative", 4).result()
    assert stats["count"].tolist() == [21 + 2, 22 - 3 + 1, 21 - 4, 20 - 5]
    assert all(np.isfinite(values).all() for values in stats.values())


def test_a_horizon_that_no_episode_reaches_counts_nothing(tree: Path) -> None:
    stats = action_statistics([whole(tree)], "chunk_relative", 40).result()
    assert stats["count"][-1] == 0
    assert stats["mean"][-1].tolist() == [0.0] * 4


def test_after_an_append_only_new_files_are_read(
    own_tree: Path, make_episode: Make, video: Video, tmp_path: Path
) -> None:
    cache = StatisticsCache(tmp_path / "cache")
    action_statistics([whole(own_tree)], "chunk_relative", 5, cache)
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(9))
        writer.close()
    without = as_dicts(action_statistics([whole(own_tree)], "chunk_relative", 5))
    (own_tree / DATA.format(0)).write_bytes(b"not read")
    assert as_dicts(action_statistics([whole(own_tree)], "chunk_relative", 5, cache)) == without
    for change in ("step_delta", "chunk_relative"):
        with pytest.raises(DatasetError, match="unreadable"):
            action_statistics([whole(own_tree)], change, 1, cache)
    with pytest.raises(DatasetError, match="unreadable"):
        action_statistics([part_of(Dataset.open(own_tree), [0, 1])], "chunk_relative", 5, cache)


def test_rows_of_other_episodes_are_refused(own_tree: Path, make_episode: Make, write_tree: Write) -> None:
    part = whole(own_tree)
    other = own_tree.with_name("other")
    write_tree(other, [make_episode(seed, length=30) for seed in range(5)])
    (own_tree / DATA.format(0)).write_bytes((other / DATA.format(0)).read_bytes())
    with pytest.raises(DatasetError, match=r"file-000.parquet: other episodes than 0 to 4"):
        action_statistics([part], "step_delta")


def test_embodiments_do_not_mix(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="statistics of no episode"):
        action_statistics([], "step_delta")
    with pytest.raises(ContractError, match="group 'arm' is recorded as steps"):
        action_statistics([whole(tree)], "absolute")


@pytest.mark.parametrize("kept", [None, [0, 2]])
def test_a_member_that_is_not_here_is_named(own_tree: Path, tmp_path: Path, kept: list[int] | None) -> None:
    write_subset([part_of(Dataset.open(own_tree), kept)], tmp_path / "some")
    own_tree.rename(tmp_path / "away")
    with pytest.raises(DatasetError, match=r"is not on this machine, it lay at .*--at \S+=PATH"):
        action_statistics(parts_of(tmp_path / "some", {}), "chunk_relative", 8)
