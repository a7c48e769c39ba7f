import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.export.frames import sample
from components.export.observations import Observations, evenly

LENGTH = 9


def make_dataset(root: Path, cell: Embodiment, splits: list[str]) -> Dataset:
    """Episode n: grey images of brightness 20 n + frame, state n + frame / 100."""
    sides: dict[str, str] = {}
    with DatasetWriter(root, cell, 20, Video(codec="h264", crf=4, gop=2, pix_fmt="yuv444p")) as writer:
        for number, split in enumerate(splits):
            grey = (20 * number + np.arange(LENGTH, dtype=np.uint8))[:, None, None, None]
            images = {camera: np.broadcast_to(grey, (LENGTH, 32, 32, 3)).copy() for camera in ("fixed", "wrist")}
            state = np.full((LENGTH, 4), number, np.float32) + np.arange(LENGTH, dtype=np.float32)[:, None] / 100
            row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": cell.name}
            name = hashlib.sha256(bytes([number])).hexdigest()
            sides[name] = split
            action, time_s = np.zeros((LENGTH, 4), np.float32), np.arange(LENGTH) / 20
            writer.add_frames(EpisodeFrames(name, "t", f"do {number}", images, state, action, time_s, row))
        writer.close(sides)
    return Dataset.open(root)


def test_frames_come_from_validation_episodes_and_belong_together(tmp_path: Path, small_cell: Embodiment):
    found = sample(make_dataset(tmp_path, small_cell, ["train", "val", "train", "val"]), 6)
    assert len(found) == 6
    assert set(found.instructions) == {"do 1", "do 3"}
    # First frames first, so that any prefix holds every episode.
    assert len(set(found.instructions[:2])) == 2
    for index, instruction in enumerate(found.instructions):
        number = int(instruction.split()[1])
        frame = round(100 * (float(found.state[index, 0]) - number))
        for camera in ("fixed", "wrist"):
            assert np.abs(found.images[camera][index].astype(int) - (20 * number + frame)).mean() < 3


def test_all_episodes_serve_where_none_is_for_validation(tmp_path: Path, small_cell: Embodiment):
    found = sample(make_dataset(tmp_path, small_cell, ["train", "train"]), 100)
    assert len(found) == 2 * LENGTH
    assert set(found.instructions) == {"do 0", "do 1"}


def test_taking_keeps_rows_together(observe: Callable[..., Observations]):
    all_of_them = observe(5)
    some = all_of_them.take([3, 1])
    assert len(some) == 2
    assert some.instructions == (all_of_them.instructions[3], all_of_them.instructions[1])
    np.testing.assert_array_equal(some.state, all_of_them.state[[3, 1]])
    np.testing.assert_array_equal(some.images["wrist"][0], all_of_them.images["wrist"][3])
    np.testing.assert_array_equal(all_of_them.spread(2).state, all_of_them.state[[0, 4]])


@given(length=st.integers(1, 500), count=st.integers(1, 100))
def test_even_indices_are_different_in_range_and_as_many_as_asked(length: int, count: int):
    found = evenly(length, count)
    assert len(found) == min(length, count)
    assert found[0] == 0
    assert found[-1] <= length - 1
    if count > 1:
        assert found[-1] == length - 1
    assert (np.diff(found) >= 1).all()


@pytest.mark.parametrize("count", [1, 3])
def test_a_sample_is_never_larger_than_asked(tmp_path: Path, small_cell: Embodiment, count: int):
    assert len(sample(make_dataset(tmp_path, small_cell, ["val"] * 2), count)) == count
