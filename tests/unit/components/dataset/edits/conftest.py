"""Datasets of two sites with some episodes in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]


@pytest.fixture(scope="session")
def at_site(make_episode: Make) -> Callable[[int, str], EpisodeFrames]:
    """`at_site(seed, site)`: an episode of 5 frames recorded there."""

    def made(seed: int, site: str) -> EpisodeFrames:
        row = make_episode(seed, length=5).row | {"site": site, "collector_id": f"person-{seed % 3}"}
        return make_episode(seed, length=5, row=row)

    return made


@pytest.fixture(scope="session")
def sites(
    tmp_path_factory: pytest.TempPathFactory,
    at_site: Callable[[int, str], EpisodeFrames],
    write_tree: Callable[..., str],
) -> Path:
    """A folder with the datasets `north` (episodes 0 to 3) and `south` (3 to 6); tests only read them."""
    folder = tmp_path_factory.mktemp("sites")
    write_tree(folder / "north", [at_site(seed, "north") for seed in range(4)])
    write_tree(folder / "south", [at_site(3, "north"), *(at_site(seed, "south") for seed in range(4, 7))])
    return folder


@pytest.fixture(scope="session")
def other_robot(tmp_path_factory: pytest.TempPathFactory, cell: Embodiment, make_episode: Make, video) -> Path:
    """A dataset of another embodiment; tests only read it."""
    body = replace(cell, name="other-cell")
    root = tmp_path_factory.mktemp("other") / "other"
    with DatasetWriter(root, body, 20, video) as writer:
        writer.add_frames(make_episode(20, length=4, embodiment=body))
        writer.close()
    return root
