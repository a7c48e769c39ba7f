from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from components.core.episode import Episode, episode_id
from components.core.errors import EpisodeError
from components.core.spec import SAWYER_CELL
from components.dataset.frames import EpisodeFrames
from components.formats.registry import read
from components.ingest.canonical import pixel_sha256, to_frames

RATES = {"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10}


def frames_of(episode: Episode) -> EpisodeFrames:
    return to_frames(episode, SAWYER_CELL, fps=20, max_misalignment_ms=25.0, split="val")


@pytest.fixture
def episode(recordings: ModuleType, tmp_path: Path) -> Callable[..., Episode]:
    """Episode of a demo, by way of a file: `episode(demo, "hdf5" | "mcap")`."""

    def through_a_file(demo: Any, kind: str) -> Episode:
        path = tmp_path / f"a.{kind}"
        if kind == "hdf5":
            recordings.write_hdf5(path, [demo])
        else:
            recordings.write_mcap(path, demo)
        (found,) = read(path, root=tmp_path)
        return found

    return through_a_file


def test_hdf5_keeps_its_samples(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    demo = recordings.make_demo(steps=9)
    source = episode(demo, "hdf5")
    frames = frames_of(source)
    assert frames.episode_id == episode_id(source)
    np.testing.assert_array_equal(frames.images["fixed"], demo.values["fixed"])
    np.testing.assert_array_equal(frames.state[:, :3], demo.values["hand"].astype(np.float32))
    np.testing.assert_array_equal(frames.state[:, 3:], demo.values["gripper"].astype(np.float32))
    np.testing.assert_array_equal(frames.action, demo.values["action"].astype(np.float32))
    np.testing.assert_array_equal(frames.extras["observation.joints"], demo.values["joints"].astype(np.float32))
    np.testing.assert_allclose(frames.time_s, np.arange(9) * 0.05)


def test_mcap_is_brought_onto_the_ticks(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    frames = frames_of(episode(recordings.make_demo(steps=21, rates_hz=RATES), "mcap"))
    assert (len(frames), frames.state.shape, frames.action.shape) == (21, (21, 4), (21, 4))
    assert frames.images["wrist"].shape == (21, 96, 96, 3)
    worst = {row["stream"]: row["worst_misalignment_ms"] for row in frames.streams}
    assert worst["action_executed"] is None
    assert worst["fixed"] == pytest.approx(16.67, abs=0.01)
    assert [row["rate_hz"] for row in frames.streams if row["stream"] == "fixed"] == pytest.approx([30.0])


def test_both_containers_give_the_same_numbers(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    demo = recordings.make_demo(steps=9)
    one, other = frames_of(episode(demo, "hdf5")), frames_of(episode(demo, "mcap"))
    assert one.episode_id == other.episode_id
    assert one.frames_sha256 == other.frames_sha256
    # JPEG loses pixels, so these differ.
    assert one.pixel_sha256 != other.pixel_sha256


def test_provenance_reaches_the_row(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    row = frames_of(episode(recordings.make_demo(steps=4), "hdf5")).row
    expected = {key: value for key, value in recordings.METADATA.items() if key != "task"}
    assert row | expected == row
    assert (row["source_uri"], row["source_format"]) == ("a.hdf5#demo_0", "hdf5")
    assert row["split"] == "val"


def test_images_are_brought_to_the_size_of_the_embodiment(
    recordings: ModuleType, episode: Callable[..., Episode]
) -> None:
    demo = recordings.make_demo(steps=4, image_px=192)
    frames = frames_of(episode(demo, "hdf5")).images["fixed"]
    assert frames.shape == (4, 96, 96, 3)
    assert np.abs(frames[0, ::2, ::2].astype(int) - demo.values["fixed"][0, ::4, ::4]).mean() < 12


def test_what_the_checks_judge_is_kept(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    demo = recordings.make_demo(steps=9)
    hand = demo.values["hand"].copy()
    hand[4, 1] = np.nan
    hand[5, 0] = 1e300
    frames = frames_of(episode(replace(demo.with_values(hand=hand), instruction=""), "hdf5"))
    assert frames.instruction == ""
    assert np.isnan(frames.state[4, 1])
    assert np.isinf(frames.state[5, 0])
    assert [row["nan_count"] for row in frames.streams if row["stream"] == "hand"] == [1]


@pytest.mark.parametrize("name", ["fixed", "wrist", "hand", "gripper", "joints", "action"])
def test_each_stream_of_the_cell_is_needed(recordings: ModuleType, episode: Callable[..., Episode], name: str) -> None:
    source = episode(recordings.make_demo(steps=4).without(name), "mcap")
    with pytest.raises(EpisodeError, match=f"no stream '{name}'") as caught:
        frames_of(source)
    assert (caught.value.code, caught.value.where) == ("missing_stream", "a.mcap")


def test_a_stream_that_nobody_uses_may_be_missing(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    assert len(frames_of(episode(recordings.make_demo(steps=4).without("action_executed"), "mcap"))) == 4


@pytest.mark.parametrize(
    ("metadata", "code"), [({"task": ""}, "missing_task"), ({"embodiment": "other-arm"}, "wrong_embodiment")]
)
def test_an_episode_of_something_else_is_refused(
    recordings: ModuleType, episode: Callable[..., Episode], metadata: dict[str, str], code: str
) -> None:
    source = episode(recordings.make_demo(steps=4).with_metadata(**metadata), "hdf5")
    with pytest.raises(EpisodeError, match=r"does not name its task|expected 'sawyer-cell'") as caught:
        frames_of(source)
    assert caught.value.code == code


def test_a_recording_that_names_no_embodiment_is_taken(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    source = episode(recordings.make_demo(steps=4).with_metadata(embodiment=""), "hdf5")
    assert frames_of(source).row["embodiment"] == "sawyer-cell"


def test_an_action_of_another_width_is_refused(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    source = episode(recordings.make_demo(steps=4).with_values(action=np.zeros((4, 7))), "hdf5")
    with pytest.raises(EpisodeError, match=r"action has 7 dimensions, expected 4 \(dx, dy, dz, effort\)") as caught:
        frames_of(source)
    assert caught.value.code == "wrong_shape"


def test_a_camera_that_changes_its_size_is_refused(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    source = episode(recordings.make_demo(steps=4), "mcap")
    frames = list(source.streams["wrist"].values)
    frames[2] = recordings.encode_jpeg(np.zeros((48, 48, 3), np.uint8))
    wrist = replace(source.streams["wrist"], values=frames)
    with pytest.raises(EpisodeError, match=r"'wrist' has frames of \[48, 48, 3\] and \[96, 96, 3\]"):
        frames_of(replace(source, streams={**source.streams, "wrist": wrist}))


def test_the_pixel_hash_sees_every_pixel_and_camera() -> None:
    images = {"a": np.zeros((2, 4, 4, 3), np.uint8), "b": np.zeros((2, 4, 4, 3), np.uint8)}
    changed = {name: frames.copy() for name, frames in images.items()}
    changed["b"][1, 3, 3, 2] = 1
    hashes = {
        pixel_sha256(images),
        pixel_sha256(changed),
        pixel_sha256({"a": changed["b"], "b": changed["a"]}),
        pixel_sha256({"a": images["a"].reshape(2, 2, 8, 3), "b": images["b"]}),
    }
    assert len(hashes) == 4
    assert pixel_sha256(dict(reversed(images.items()))) == pixel_sha256(images)
