from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.dataset.edits.merge import merge
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import Part, part_of, parts_of
from components.dataset.reader import Dataset
from components.dataset.sketch import ACCURACY
from components.dataset.statistics.merging import running_of, running_of_parts
from components.dataset.stats import QUANTILES, RunningStats, measure

Write = Callable[..., str]
Make = Callable[..., EpisodeFrames]


def as_dicts(running: dict[str, RunningStats]) -> dict[str, object]:
    return {key: value.as_dict() for key, value in running.items()}


def test_some_episodes_are_as_if_their_frames_had_been_seen(tree: Path, episodes: list[EpisodeFrames]) -> None:
    running = running_of(Dataset.open(tree), [3, 1])
    rows = np.concatenate([episodes[index].action for index in (1, 3)]).astype(np.float64)
    stats = running["action"].result()
    np.testing.assert_array_equal(stats["min"], rows.min(axis=0))
    np.testing.assert_allclose(stats["std"], rows.std(axis=0), rtol=1e-12)
    for name, share in QUANTILES.items():
        true = np.quantile(rows, share, axis=0, method="lower")
        assert (np.abs(stats[name] - true) <= ACCURACY * np.abs(true)).all()
    pixels = np.concatenate([np.asarray(episodes[index].images["wrist"]) for index in (1, 3)]).reshape(-1, 3)
    wrist = running["observation.images.wrist"].result()
    assert wrist["q50"].shape == (3, 1, 1)
    np.testing.assert_array_equal(wrist["q50"].ravel(), np.quantile(pixels, 0.5, axis=0, method="lower") / 255)


def test_a_whole_dataset_is_what_its_totals_say(tree: Path) -> None:
    dataset = Dataset.open(tree)
    assert as_dicts(running_of_parts([part_of(dataset)])) == as_dicts(running_of(dataset, dataset.indices))


def test_parts_of_several_datasets_add_up(tmp_path: Path, write_tree: Write, make_episode: Make) -> None:
    episodes = [make_episode(seed) for seed in range(5)]
    for name, some in (("a", episodes[3:]), ("b", episodes[:3]), ("all", episodes)):
        write_tree(tmp_path / name, some)
    a, b, whole = (Dataset.open(tmp_path / name) for name in ("a", "b", "all"))
    assert as_dicts(running_of_parts([part_of(b), part_of(a)])) == as_dicts(running_of_parts([part_of(whole)]))
    some = running_of_parts([part_of(b, [1]), part_of(a, [0])], ["action"])
    assert as_dicts(some) == as_dicts(running_of(whole, [1, 3], ["action"]))


def test_taking_episodes_out_leaves_the_statistics_of_the_rest(tree: Path) -> None:
    dataset = Dataset.open(tree)
    whole, gone, rest = dataset.running(), running_of(dataset, [0, 4]), running_of(dataset, [1, 2, 3])
    for key, running in gone.items():
        limits = rest[key].result()
        whole[key].subtract(running, (limits["min"], limits["max"]))
    assert as_dicts(whole) == as_dicts(rest)


def test_broken_episodes_count_nothing(tmp_path: Path, write_tree: Write, make_episode: Make) -> None:
    broken = make_episode(1, action=np.full((23, 4), np.nan, np.float32))
    write_tree(tmp_path / "tree", [broken, make_episode(2)])
    dataset = Dataset.open(tmp_path / "tree")
    assert running_of(dataset, [0])["action"].result()["count"].tolist() == [0]
    found, (expected, _) = running_of(dataset, [0, 1])["action"].result(), measure(make_episode(2).action)
    np.testing.assert_array_equal([found["min"], found["max"]], [expected["min"], expected["max"]])


def test_a_member_that_is_elsewhere_is_known_by_its_totals(
    tmp_path: Path, write_tree: Write, make_episode: Make
) -> None:
    for name, seeds in (("a", (1, 2)), ("b", (3, 4, 5))):
        write_tree(tmp_path / name, [make_episode(seed) for seed in seeds])
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    here = as_dicts(running_of_parts(parts_of(tmp_path / "both")))
    (tmp_path / "a").rename(tmp_path / "gone")
    assert as_dicts(running_of_parts(parts_of(tmp_path / "both"))) == here
    some = [Part(part.dataset, part.indices[:1], part.name) for part in parts_of(tmp_path / "both")]
    with pytest.raises(DatasetError, match=r"'a'.* is not on this machine"):
        running_of_parts(some)


def test_features_of_another_width_are_named(tmp_path: Path, write_tree: Write, make_episode: Make) -> None:
    for width in (2, 3):
        extras = {"observation.force": np.ones((23, width), np.float32)}
        write_tree(tmp_path / str(width), [make_episode(width, extras=extras)])
    parts = [part_of(Dataset.open(tmp_path / str(width))) for width in (2, 3)]
    with pytest.raises(DatasetError, match=r"3: feature 'observation.force': statistics of shape \(3,\) after \(2,\)"):
        running_of_parts(parts)


def test_episodes_that_are_not_there_are_named(tree: Path) -> None:
    with pytest.raises(DatasetError, match="no episode 7"):
        running_of(Dataset.open(tree), [0, 7])
    with pytest.raises(DatasetError, match="statistics of no episode"):
        running_of(Dataset.open(tree), [])
