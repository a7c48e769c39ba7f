"""What LeRobot's layout has no place for: depth, calibrations, sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import DatasetError
from components.core.files import digest_json, read_json, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]
Depth = npt.NDArray[np.uint16]
LENS, OTHER_LENS = {"fixed": {"fx": 600.5, "rotation": [0.0, 1.0]}}, {"fixed": {"fx": 601.0}}
SOURCE = {"uri": "a.mcap", "sha256": "1" * 64, "format": "mcap", "part": "", "episode_id": "", "code": "", "detail": ""}


@pytest.fixture(scope="module")
def seeing(cell: Embodiment) -> Embodiment:
    """The cell with two depth cameras."""
    return replace(cell, observation=replace(cell.observation, depth=("above", "side")))


def depth_of(seed: int, length: int, height: int = 24) -> Depth:
    """A ramp that moves, with the values a sensor has for nothing (0) and far away."""
    rng = np.random.default_rng(seed)
    frames = (rng.integers(400, 4000, (length, 1, 1)) + np.arange(height * 32).reshape(height, 32)).astype(np.uint16)
    frames[:, :2] = 0
    frames[:, -1] = 65535
    return frames


def seen(make_episode: Make, seed: int, length: int, height: int = 24, **changes: Any) -> EpisodeFrames:
    depth = {camera: depth_of(10 * seed + n, length, height) for n, camera in enumerate(("above", "side"))}
    return make_episode(seed, length=length, depth=depth, **changes)


@pytest.fixture
def several(make_episode: Make) -> list[EpisodeFrames]:
    # The third has other pictures, the fourth none of one camera.
    found = [seen(make_episode, 0, 9), seen(make_episode, 1, 14), seen(make_episode, 2, 8, height=48)]
    last = seen(make_episode, 3, 10)
    return [*found, replace(last, depth={"side": last.depth["side"]})]


def write(root: Path, body: Embodiment, video: Video, episodes: list[EpisodeFrames], **limits: float) -> str:
    with DatasetWriter(root, body, 20, video, **limits) as writer:
        for episode in episodes:
            writer.add_frames(episode)
        return writer.close()


@pytest.mark.parametrize("limit_mb", [200, 0.01])
def test_depth_comes_back_bit_by_bit(
    tmp_path: Path, seeing: Embodiment, video: Video, several: list[EpisodeFrames], limit_mb: float
) -> None:
    write(tmp_path, seeing, video, several[:2], video_file_mb=limit_mb)
    with resume(tmp_path, video, video_file_mb=limit_mb) as writer:
        for episode in several[2:]:
            writer.add_frames(episode)
        writer.close()
    dataset = Dataset.open(tmp_path)
    dataset.verify()
    for index, episode in enumerate(several):
        assert dataset.depth_cameras(index) == tuple(sorted(episode.depth))
        for camera, frames in episode.depth.items():
            found = dataset.depth(index, camera)
            assert found.dtype == np.uint16
            np.testing.assert_array_equal(found, frames)
    with pytest.raises(DatasetError, match="episode 3 has no depth camera 'above'"):
        dataset.depth(3, "above")
    assert not any("depth" in key for key in dataset.features)


def test_an_unknown_depth_camera_is_refused(
    tmp_path: Path, cell: Embodiment, video: Video, several: list[EpisodeFrames]
) -> None:
    with pytest.raises(DatasetError, match=r"unknown depth cameras: \['above', 'side'\], expected \[\]"):
        write(tmp_path, cell, video, several)


def calibrated(make_episode: Make, seed: int, calibration: dict[str, Any], recorded_at: str) -> EpisodeFrames:
    row = {"calibration_digest": digest_json(calibration), "recorded_at": recorded_at}
    return make_episode(seed, row=make_episode(seed).row | row, calibration=calibration)


def test_every_calibration_is_kept_once_with_its_first_day(
    tmp_path: Path, cell: Embodiment, video: Video, make_episode: Make
) -> None:
    given = [(LENS, "2024-05-02"), (LENS, ""), (OTHER_LENS, ""), (LENS, "2024-05-01")]
    episodes = [calibrated(make_episode, seed, *one) for seed, one in enumerate(given)]
    write(tmp_path / "fresh", cell, video, episodes)
    write(tmp_path / "grown", cell, video, episodes[:2])
    with resume(tmp_path / "grown", video) as writer:
        for episode in episodes[2:]:
            writer.add_frames(episode)
        writer.commit()
    for root in (tmp_path / "fresh", tmp_path / "grown"):
        folder = root / "meta/gripline/calibrations"
        found = {path.stem: read_json(path) for path in folder.iterdir()}
        assert {digest: entry["first_recorded_at"] for digest, entry in found.items()} == {
            digest_json(LENS): "2024-05-01",
            digest_json(OTHER_LENS): "",
        }
        dataset = Dataset.open(root)
        dataset.verify()
        assert dataset.calibration(dataset.episodes["calibration_digest"][0]) == LENS
        for unknown in ("0" * 64, "../record"):
            with pytest.raises(DatasetError, match=f"no calibration '{unknown[:12]}'"):
                dataset.calibration(unknown)


def test_sources_are_kept_until_there_are_others(own_tree: Path, video: Video, make_episode: Make) -> None:
    assert list(Dataset.open(own_tree).sources.columns) == list(SOURCE)
    with resume(own_tree, video) as writer:
        writer.commit(sources=[SOURCE, SOURCE | {"uri": "b.mcap", "code": "truncated"}])
        writer.add_frames(make_episode(7))
        writer.commit()
    dataset = Dataset.open(own_tree)
    dataset.verify()
    assert dataset.sources["uri"].tolist() == ["a.mcap", "b.mcap"]
    with resume(own_tree, video) as writer:
        writer.close(sources=[SOURCE])
    assert Dataset.open(own_tree).sources.to_dict("records") == [SOURCE]


def test_a_tree_of_extracted_episodes_is_the_same_dataset(
    tmp_path: Path, seeing: Embodiment, video: Video, several: list[EpisodeFrames], make_episode: Make
) -> None:
    many = [*several, seen(make_episode, 5, 11, row=calibrated(make_episode, 5, LENS, "").row, calibration=LENS)]
    digest = write(tmp_path / "old", seeing, video, many)
    old = Dataset.open(tmp_path / "old")
    with DatasetWriter(tmp_path / "new", seeing, 20, video) as writer:
        for index in (4, 1, 0, 3, 2):
            writer.add(extract(old, index))
        assert writer.close() == digest
    new = Dataset.open(tmp_path / "new")
    assert (new.root / layout.STATS).read_bytes() == (old.root / layout.STATS).read_bytes()
    for index, other in enumerate((4, 1, 0, 3, 2)):
        for camera in old.cameras:
            np.testing.assert_array_equal(new.images(index, camera), old.images(other, camera))
        for camera in old.depth_cameras(other):
            np.testing.assert_array_equal(new.depth(index, camera), old.depth(other, camera))
        assert new.streams_of(index) == old.streams_of(other) == many[other].streams
    with DatasetWriter(tmp_path / "same", seeing, 20, video) as writer:
        for index in range(5):
            writer.add(extract(old, index))
        writer.close()
    assert tree_manifest(tmp_path / "same") == tree_manifest(tmp_path / "old")
