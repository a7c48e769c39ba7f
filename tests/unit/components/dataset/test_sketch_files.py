from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.prepare import prepare
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.sketch import Sketch
from components.dataset.sketch_files import SketchFiles, measured_features, sketches_of

FILE = "meta/gripline/sketches/chunk-000/file-000.parquet"


def alike(left: dict[str, Sketch], right: dict[str, Sketch]) -> bool:
    return {key: sketch.as_dict() for key, sketch in left.items()} == {
        key: sketch.as_dict() for key, sketch in right.items()
    }


def test_the_tree_keeps_the_sketches_of_each_episode(tree: Path, episodes: list[EpisodeFrames], video: Video) -> None:
    dataset = Dataset.open(tree)
    prepared = [prepare(episode, 20, video, image_px=32).sketches for episode in episodes]
    for index, expected in enumerate(prepared):
        assert alike(sketches_of(dataset, index), expected)
        assert alike(extract(dataset, index).sketches, expected)
    some = list(SketchFiles(dataset).of(np.array([1, 4]), ["action"]))
    assert [alike(found, {"action": prepared[at]["action"]}) for found, at in zip(some, (1, 4), strict=True)] == [
        True
    ] * 2
    assert "index" not in measured_features(dataset.features)


def test_files_that_were_added_later_are_read_on(
    own_tree: Path, make_episode: Callable[..., EpisodeFrames], video: Video
) -> None:
    episode = make_episode(9, length=70)
    old = (own_tree / FILE).read_bytes()
    with resume(own_tree, video) as writer:
        writer.add_frames(episode)
        writer.close()
    assert (own_tree / FILE).read_bytes() == old
    found = list(SketchFiles(Dataset.open(own_tree)).of(np.array([0, 5]), ["action"]))
    assert found[1]["action"].as_dict() == Sketch.of(episode.action).as_dict()
    assert len(found) == 2


def test_a_copy_of_many_episodes_opens_each_file_once(own_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    file_of = pq.ParquetFile

    def counted(path: Path, *arguments: Any, **options: Any) -> pq.ParquetFile:
        opened.extend([path] if "sketches" in str(path) else [])
        return file_of(path, *arguments, **options)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    dataset = Dataset.open(own_tree)
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda index: extract(dataset, index).sketches, range(5)))
    assert [opened.count(path) for path in set(opened)] == [1]
    assert all(alike(sketches_of(Dataset.open(own_tree), index), found[index]) for index in range(5))


def test_ids_are_looked_up_without_copying_those_of_all_episodes(
    own_tree: Path, video: Video, make_episode: Callable[..., EpisodeFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    with resume(own_tree, video) as writer:
        for number in range(9, 12):
            writer.add_frames(make_episode(number, length=12))
        writer.close()
    dataset = Dataset.open(own_tree)
    ids = dataset.table(["episode_id"])["episode_id"].to_pylist()
    # As if there were many more episodes: one piece of memory over and over, 320 MB where somebody copies it.
    many = pa.array(["f" * 64] * 1000)
    column = pa.chunked_array([*(pa.array([name]) for name in ids), *[many] * 5000])
    monkeypatch.setitem(dataset.index._columns, "episode_id", column)
    before = pa.default_memory_pool().max_memory()
    expected = {row: sketches_of(dataset, int(dataset.indices[row])) for row in range(8)}
    for rows in ([0, 2, 4, 5, 7], [6], [4, 5], list(range(8))):
        found = list(dataset.sketches.of(np.array(rows), ["action"]))
        assert all(alike(one, {"action": expected[row]["action"]}) for one, row in zip(found, rows, strict=True))
    assert pa.default_memory_pool().max_memory() - before < column.nbytes / 2


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (rewritten(lambda table: table.slice(1)), "sketches of 4 episodes, there are 5"),
        (rewritten(lambda table: table.take([1, 0, 2, 3, 4])), "sketches of other episodes"),
        (lambda path: path.write_bytes(b"PAR1"), "unreadable"),
    ],
)
def test_sketches_that_do_not_belong_to_the_episodes_are_refused(own_tree: Path, damage: Any, message: str) -> None:
    dataset = Dataset.open(own_tree)
    damage(own_tree / FILE)
    with pytest.raises(DatasetError, match=message):
        dataset.stats_of([0, 1])
