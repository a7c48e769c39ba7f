"""Windows as one would cut them by hand, to compare batches with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dataset.layout import ACTION, STATE
from components.dataset.loading.loader import Loader
from components.dataset.parts import Part, parts_of


@pytest.fixture(scope="session")
def parts(tree: Path) -> list[Part]:
    """The five episodes of `tree`; tests only read them."""
    return parts_of(tree)


def expected_window(loader: Loader, row: int, frame: int) -> dict[str, Any]:
    """What a batch has to hold for one window of one embodiment."""
    settings, episodes = loader.settings, loader.episodes
    part, index = episodes.part_of(row), int(episodes.index[row])
    columns = part.dataset.frames(index)
    images = np.stack([part.dataset.images(index, camera) for camera in part.dataset.cameras], axis=1)
    back = np.arange(settings.history - 1, -1, -1) * settings.history_stride
    seen, ahead = np.maximum(frame - back, 0), frame + np.arange(settings.chunk)
    times = seen if settings.history > 1 else frame
    return {
        "images": images[times],
        "state": columns[STATE][times],
        "actions": columns[ACTION][np.minimum(ahead, len(images) - 1)],
        "actions_is_pad": ahead >= len(images),
        "history_is_pad": frame - back < 0,
    }


def assert_windows(loader: Loader, batch: dict[str, Any]) -> None:
    """Every window of a batch is what it says to be."""
    for number in range(len(batch["episode"])):
        expected = expected_window(loader, int(batch["episode"][number]), int(batch["frame"][number]))
        for name, values in expected.items():
            np.testing.assert_array_equal(batch[name][number], values, err_msg=name)


def assert_batches_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(scope="session", name="assert_windows")
def assert_windows_fixture() -> Callable[[Loader, dict[str, Any]], None]:
    return assert_windows


@pytest.fixture(scope="session", name="assert_batches_equal")
def assert_batches_equal_fixture() -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return assert_batches_equal
