from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset.frames import EpisodeFrames
from components.dataset.prepare import prepare
from components.dataset.prepared import PreparedEpisode
from components.dataset.stats import numeric_stats
from components.dataset.video import decode_episode, encode_episode

Make = Callable[..., EpisodeFrames]
Frames = npt.NDArray[Any]


class Lazy(Sequence[Any]):
    """Frames that are made when they are asked for; `asked` is in which order that was."""

    def __init__(self, length: int, frame: Callable[[int], Frames]) -> None:
        self.asked: list[int] = []
        self._length, self._frame = length, frame

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if index >= self._length:
            raise IndexError(index)
        self.asked.append(index)
        return self._frame(index)


class Short(Lazy):
    """Says that it has more frames than it gives."""

    def __iter__(self) -> Iterator[Frames]:
        return iter([self._frame(0)])


def ready(episode: EpisodeFrames, video: Video) -> PreparedEpisode:
    return prepare(episode, 20, video, image_px=32)


def depth_frames(length: int) -> Frames:
    return np.random.default_rng(3).integers(0, 9000, (length, 12, 16)).astype(np.uint16)


def test_hashes_videos_and_statistics_are_those_of_the_frames(make_episode: Make, video: Video) -> None:
    episode = make_episode(1)
    prepared = ready(episode, video)
    digest = hashlib.sha256()
    for camera in ("fixed", "wrist"):
        digest.update(f"\0{camera}\0[23, 32, 32, 3]\0".encode() + np.asarray(episode.images[camera]).tobytes())
        assert prepared.videos[camera] == encode_episode(episode.images[camera], 20, video)
        pixels = np.asarray(episode.images[camera]) / 255
        found = prepared.stats[f"observation.images.{camera}"]["mean"].ravel()
        np.testing.assert_allclose(found, pixels.mean(axis=(0, 1, 2)))
    assert prepared.pixel_sha256 == digest.hexdigest()
    assert (len(prepared), prepared.fps, prepared.where) == (23, 20, "site-north/1.mcap")
    for name, value in numeric_stats(episode.action).items():
        np.testing.assert_array_equal(prepared.stats["action"][name], value)


def test_lazy_frames_are_taken_once_in_order_and_come_out_the_same(make_episode: Make, video: Video) -> None:
    episode = make_episode(1)
    depth = depth_frames(23)
    whole = ready(replace(episode, depth={"fixed": depth}), video)
    lazy = {camera: Lazy(23, frames.__getitem__) for camera, frames in episode.images.items()}
    lazy_depth = Lazy(23, depth.__getitem__)
    prepared = ready(replace(episode, images=lazy, depth={"fixed": lazy_depth}), video)
    assert prepared.to_bytes() == whole.to_bytes()
    assert all(seen.asked == list(range(23)) for seen in [*lazy.values(), lazy_depth])


def test_depth_is_kept_without_loss_and_is_part_of_the_hash(make_episode: Make, video: Video) -> None:
    episode = make_episode(1)
    depth = depth_frames(23)
    depth[0, 0, :2] = (0, 65535)
    other = depth.copy()
    other[-1, -1, -1] += 1
    hashes = [ready(replace(episode, depth=given), video).pixel_sha256 for given in ({}, {"a": depth}, {"a": other})]
    assert len(set(hashes)) == 3
    assert hashes[0] == ready(episode, video).pixel_sha256
    assert list(ready(replace(episode, depth={"a": depth}), video).depth) == ["a"]


def rgb(height: int, dtype: Any = np.uint8) -> Frames:
    return np.zeros((height, 32, 3), dtype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {"a": [rgb(32)] * 22 + [rgb(16)]}}, r"1.mcap: camera 'a': picture 22 is uint8 \[16, 32, 3\]"),
        ({"images": {"a": [rgb(32, np.float32)] * 23}}, r"picture 0 is float32 \[32, 32, 3\], expected uint8"),
        ({"images": {"a": Short(23, lambda _: rgb(32))}}, r"camera 'a': 1 pictures, expected 23"),
        ({"depth": {"a": [rgb(32)] * 23}}, r"camera 'depth/a': picture 0 is uint8"),
        ({"depth": {"a": [np.zeros((4, 4, 1), np.uint16)] * 23}}, r"picture 0 is uint16 \[4, 4, 1\], expected uint16"),
    ],
)
def test_pictures_of_another_kind_are_named(
    make_episode: Make, video: Video, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        ready(replace(make_episode(1), **changes), video)


@pytest.mark.parametrize("field", ["state", "action", "time_s"])
def test_one_changed_number_changes_the_hash(make_episode: Make, video: Video, field: str) -> None:
    episode = make_episode(1)
    values = getattr(episode, field).copy()
    values[-1] = np.nextafter(values[-1], np.inf, dtype=values.dtype)
    changed = ready(replace(episode, **{field: values}), video)
    assert changed.frames_sha256 != ready(episode, video).frames_sha256


def test_words_and_extras_change_the_hash_provenance_does_not(make_episode: Make, video: Video) -> None:
    episode = make_episode(1)
    others = [
        episode,
        replace(episode, instruction="close it"),
        replace(episode, extras={}),
        replace(episode, extras={"observation.other": episode.extras["observation.joints"]}),
    ]
    assert len({ready(other, video).frames_sha256 for other in others}) == 4
    licenced = replace(episode, row=episode.row | {"licence": "CC0-1.0"}, state=np.asfortranarray(episode.state))
    assert ready(licenced, video).frames_sha256 == ready(episode, video).frames_sha256


def test_memory_does_not_grow_with_length(make_episode: Make) -> None:
    video = Video(codec="h264", crf=40, gop=50, pix_fmt="yuv420p")
    still = np.zeros((64, 64, 3), np.uint8)
    short_bytes, long_bytes = (peak_bytes(make_episode, video, length, still) for length in (300, 1200))
    # 900 frames more would be 11 MB. What does grow are the numbers of a tick, its packet, and the index of the file.
    assert long_bytes - short_bytes < 900 * 700


def peak_bytes(make_episode: Make, video: Video, length: int, still: Frames) -> int:
    episode = make_episode(1, length=length, images={"a": Lazy(length, lambda _: still.copy())})
    tracemalloc.start()
    try:
        prepare(episode, 20, video, image_px=64)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_bytes_there_and_back(make_episode: Make, video: Video) -> None:
    stream = make_episode(1).streams[0]
    episode = make_episode(1, depth={"a": depth_frames(23)}, streams=[stream, {**stream, "jitter": float("nan")}])
    counted = replace(episode, extras={**episode.extras, "observation.control": np.ones((23, 1), np.int64)})
    prepared = ready(counted, video)
    data = prepared.to_bytes()
    again = PreparedEpisode.from_bytes(data)
    assert again.to_bytes() == data == ready(counted, video).to_bytes()
    assert (again.row, again.videos, again.depth) == (prepared.row, prepared.videos, prepared.depth)
    for name, values in prepared.columns.items():
        np.testing.assert_array_equal(again.columns[name], values)
        assert again.columns[name].dtype == values.dtype
    assert decode_episode(again.videos["wrist"]).shape == (23, 32, 32, 3)
    assert np.isnan(again.streams[1]["jitter"])


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "longer", "other"])
def test_torn_bytes_are_noticed(make_episode: Make, video: Video, damage: str) -> None:
    data = bytearray(ready(make_episode(1), video).to_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(data), 20):
        torn = bytearray(data)
        if damage == "flipped":
            torn[at] ^= 1
        cases = {"empty": b"", "cut": torn[:at], "longer": torn + b"\0", "other": b"x" * at}
        with pytest.raises(DatasetError, match=r"not a whole prepared episode\. Prepare it again"):
            PreparedEpisode.from_bytes(bytes(cases.get(damage, torn)))
