"""Trees that other people's programs wrote; the figures are those of the sample's manifest."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from components.formats.lerobot import reader

SAMPLES = Path(__file__).resolve().parents[6] / "shared" / "data" / "lerobot"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of sample recordings is not beside this repository"
)


@needs_samples
def test_a_part_of_a_unitree_g1_set_in_version_2_1(trees: ModuleType) -> None:
    recording, opened = trees.open_tree(SAMPLES / "v21_unitree_g1")
    assert opened.dialect == "v2.1"
    assert opened.parts == ("episode_000001", "episode_000002")
    assert [(p.code, p.detail) for p in opened.problems] == [
        ("missing_episodes", "98 of 100 episodes have no table, first episode 0")
    ]
    for part, count in (("episode_000001", 393), ("episode_000002", 343)):
        episode = reader.read_part(recording, part)
        assert episode.instruction == "Pick up the yellow bottle on the table."
        assert {name: len(stream) for name, stream in episode.streams.items()} == dict.fromkeys(
            ("action", "state", "cam_high"), count
        )
        assert episode.streams["state"].values.shape == (count, 26)
        assert episode.streams["action"].names[0] == "kLeftShoulderPitch"
        assert episode.rate_hz == pytest.approx(30, rel=1e-4)
        assert np.isfinite(episode.streams["action"].values).all()


@needs_samples
def test_av1_frames_of_the_unitree_g1_set(trees: ModuleType) -> None:
    episode = trees.read(SAMPLES / "v21_unitree_g1", 2)
    frames = episode.streams["cam_high"].values
    assert frames[0].shape == (480, 640, 3)
    assert 10 < float(frames[0].mean()) < 245
    assert frames[342].shape == (480, 640, 3)


@needs_samples
def test_a_reachy2_set_in_version_3_without_its_videos(trees: ModuleType) -> None:
    recording, opened = trees.open_tree(SAMPLES / "v30_reachy2_apple")
    assert opened.dialect == "v3.0"
    assert {p.code: p.detail for p in opened.problems} == {
        "total_frames": "total_frames is 14983, the episodes add up to 899",
        "missing_video": (
            "camera 'observation.image' is left out of 3 of 3 episodes: "
            "videos/observation.image/chunk-000/file-000.mp4 is missing"
        ),
    }
    episodes = [reader.read_part(recording, part) for part in opened.parts]
    assert [len(episode.streams["action"]) for episode in episodes] == [299, 300, 300]
    for episode in episodes:
        assert sorted(episode.streams) == ["action", "state"]
        assert episode.streams["state"].values.shape[1] == 19
        assert (episode.instruction, episode.extra["robot_type"]) == ("place the apple in the plate", "reachy2")
        assert episode.streams["action"].time_ns[0] == 0
