from __future__ import annotations

import multiprocessing
import shutil
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from components.core.params import Train
from components.dataset.loading.cache import CacheFolder, entry_bytes
from components.dataset.loading.cache_room import NotKept
from components.dataset.parts import Part, part_of
from components.train.inputs import Inputs
from components.train.sides import Side, make_sides


@pytest.fixture
def halves(inputs: Inputs) -> tuple[Part, Part]:
    """Episodes to train on and others to hold out, of one dataset."""
    dataset = inputs.train.parts[0].dataset
    return part_of(dataset, range(8)), part_of(dataset, range(8, 12))


def sides_of(halves: tuple[Part, Part], cache: Path, limit_bytes: int) -> list[Side]:
    return make_sides([((part,), 50.0) for part in halves], cache, limit_bytes=limit_bytes)


def images_of(side: Side, params: Train) -> np.ndarray:
    with side.loader(params, seed=1) as loader:
        images: np.ndarray = loader.batch(0, len(loader))["images"]
        return images


def test_two_sides_share_one_bound_and_the_first_goes_first(
    halves: tuple[Part, Part], params: Train, tmp_path: Path
) -> None:
    both = sum(map(entry_bytes, halves))
    video = sides_of(halves, tmp_path / "none", 0)
    for limit, kinds in ((both, ["cache", "cache"]), (both - 20_000, ["cache", "video"])):
        cache = tmp_path / str(limit)
        sides = sides_of(halves, cache, limit)
        assert [side.choice.kind for side in sides] == kinds
        with sides[0].loader(params) as train, sides[1].loader(params) as val:
            assert len(train) + len(val) == 120
        for side, expected in zip(sides, video, strict=True):
            np.testing.assert_array_equal(images_of(side, params), images_of(expected, params))


def test_what_only_the_second_side_has_room_for_is_still_cached(halves: tuple[Part, Part], tmp_path: Path) -> None:
    sides = sides_of(halves, tmp_path, entry_bytes(halves[1]))
    assert [side.choice.kind for side in sides] == ["video", "cache"]


def test_a_side_whose_entry_has_gone_gives_the_same_batches(
    halves: tuple[Part, Part], params: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (side, _), (video, _) = sides_of(halves, tmp_path / "cache", 1 << 30), sides_of(halves, tmp_path / "none", 0)
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(images_of(side, params), images_of(video, params))
    assert "decodes video instead of reading the cache: the entry has gone" in caplog.messages


def test_forked_jobs_hold_the_entries_when_the_sides_have_gone(halves: tuple[Part, Part], tmp_path: Path) -> None:
    limit = entry_bytes(halves[0])
    sides = sides_of(halves, tmp_path, limit)
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=_wait, args=(theirs,))
    child.start()
    del sides
    try:
        with pytest.raises(NotKept, match="does not fit"):
            CacheFolder(tmp_path, limit).open(halves[1], 1)
    finally:
        ours.send(None)
        child.join()
    CacheFolder(tmp_path, limit).open(halves[1], 1)


def _wait(pipe: Connection) -> None:
    pipe.recv()
