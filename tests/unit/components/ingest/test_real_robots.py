"""Robots that come along, against recordings that other people's tools made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core.embodiment_files import embodiment
from components.core.episode import Episode
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.formats.registry import find_sources, open_recording, read_part
from components.ingest.canonical import to_frames

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "data"


def first(folder: str, rate_hz: float) -> Episode:
    """The first episode below a folder of samples; `rate_hz` is for files without a clock."""
    path = SAMPLES / folder
    if not path.is_dir():
        pytest.skip(f"needs the sample files in {path}")
    found, broken = find_sources(path)
    assert not broken
    recording = open_recording(found[0])
    mapping = recording.mapping.model_copy(update={"rate_hz": rate_hz})
    episode = read_part(replace(recording, mapping=mapping), recording.parts[0])
    return replace(episode, task="as recorded", embodiment="")


def frames_of(episode: Episode, body: Embodiment) -> EpisodeFrames:
    return to_frames(episode, body, fps=round(body.action.rate_hz), max_misalignment_ms=25.0)


def assert_within_limits(frames: EpisodeFrames, body: Embodiment) -> None:
    for name, low, high, values in zip(
        body.action.names, body.action.low, body.action.high, frames.action.T, strict=True
    ):
        assert values.min() >= low - 1e-6, name
        assert values.max() <= high + 1e-6, name


def test_bridge_steps_of_a_widowx() -> None:
    body = embodiment("bridge-widowx")
    episode = first("rlds/bridge_dataset", 5.0)
    frames = frames_of(episode, body)
    assert (len(frames), frames.state.shape, frames.action.shape) == (10, (10, 7), (10, 7))
    np.testing.assert_array_equal(frames.action, np.asarray(episode.streams["action"].values, np.float32))
    np.testing.assert_allclose(frames.state, episode.streams["state"].values, atol=1e-6)
    assert frames.images["image_0"][0].shape == (224, 224, 3)
    assert_within_limits(frames, body)


def test_joints_of_a_unitree_g1() -> None:
    body = embodiment("unitree-g1")
    episode = first("lerobot/v21_unitree_g1", 30.0)
    assert tuple(episode.streams["action"].names) == body.action.names
    frames = frames_of(episode, body)
    assert (len(frames), frames.action.shape) == (393, (393, 26))
    np.testing.assert_array_equal(frames.action, np.asarray(episode.streams["action"].values, np.float32))
    assert frames.images["cam_high"][0].shape == (224, 224, 3)
    assert_within_limits(frames, body)


def test_joints_of_a_reachy_2_whose_video_is_missing() -> None:
    body = embodiment("reachy2")
    blind = replace(body, observation=replace(body.observation, cameras=()))
    frames = frames_of(first("lerobot/v30_reachy2_apple", 30.0), blind)
    assert (len(frames), frames.action.shape) == (299, (299, 19))
    assert_within_limits(frames, body)
