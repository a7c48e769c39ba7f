"""Brightness of the pictures, as it lies in the video."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset.frames import EpisodeFrames
from components.dataset.luma import BLOCK, LumaReader
from components.dataset.places import Place
from components.dataset.reader import Dataset
from components.dataset.video import encode_episode

Frames = npt.NDArray[np.uint8]


@pytest.fixture
def reader() -> Iterator[LumaReader]:
    found = LumaReader()
    yield found
    found.close()


def read(reader: LumaReader, place: Place, fps: int = 20) -> npt.NDArray[np.float64]:
    """[T, H, W] of brightness, 0..255."""
    coded = np.concatenate([block.astype(np.float64) for block in reader.read(place, fps)])
    return coded if reader.full_range else (coded - 16) * 255 / 219


def brightness(images: Frames) -> npt.NDArray[np.float64]:
    """ITU-R BT.601, which is what the encoder was given."""
    return images.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def wrong(reader: LumaReader, dataset: Dataset, index: int, camera: str = "wrist") -> float:
    found = read(reader, dataset.video_place(index, camera), dataset.fps)
    wanted = brightness(dataset.images(index, camera))
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


@pytest.mark.parametrize("order", [range(5), [4, 2, 3, 0, 1, 1]])
def test_brightness_is_that_of_the_pictures_in_any_order_of_episodes(
    reader: LumaReader, tree: Path, order: list[int]
) -> None:
    dataset = Dataset.open(tree)
    assert max(wrong(reader, dataset, index) for index in order) < 3.0
    assert wrong(reader, dataset, 0, "fixed") < 3.0


def test_an_episode_that_was_left_halfway_does_no_harm(
    reader: LumaReader, tmp_path: Path, moving_frames: Callable[..., Frames], video: Video
) -> None:
    path = tmp_path / "one.mp4"
    frames = moving_frames(2 * BLOCK + 10, seed=1)
    path.write_bytes(encode_episode(frames, 20, video))
    for first in (0, 30, 90):
        next(reader.read(Place(path, 0, len(frames)), 20))
        found = read(reader, Place(path, first, 20))
        assert np.abs(found - brightness(frames[first : first + 20])).mean() < 4.0


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_blocks_are_full_but_for_the_last(
    reader: LumaReader, tmp_path: Path, moving_frames: Callable[..., Frames], video: Video, length: int
) -> None:
    path = tmp_path / "one.mp4"
    path.write_bytes(encode_episode(moving_frames(length, seed=2), 20, video))
    sizes = [len(block) for block in reader.read(Place(path, 0, length), 20)]
    assert sizes == [min(BLOCK, length - start) for start in range(0, length, BLOCK)]


def encoded(frames: Frames, pix_fmt: str, codec: str, full: bool) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as container:
        stream = container.add_stream(codec, rate=20)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        if full:
            stream.codec_context.color_range = 2
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_color_range="JPEG" if full else "MPEG")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "full"),
    [("yuv420p", "mpeg4", False), ("yuvj420p", "mjpeg", True), ("yuv422p10le", "prores_ks", True)],
)
def test_either_range_and_more_bits_are_read(
    reader: LumaReader, tmp_path: Path, moving_frames: Callable[..., Frames], pix_fmt: str, codec: str, full: bool
) -> None:
    path = tmp_path / "one.mov"
    frames = np.repeat(np.repeat(moving_frames(6, seed=3), 2, axis=1), 2, axis=2)
    path.write_bytes(encoded(frames, pix_fmt, codec, full and codec == "mjpeg"))
    found = read(reader, Place(path, 0, 6))
    assert reader.full_range == full
    assert found.mean() == pytest.approx(brightness(frames).mean(), abs=3.0)


def test_a_missing_file_is_named(reader: LumaReader, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="video cannot be decoded") as caught:
        read(reader, Place(tmp_path / "gone.mp4", 0, 3))
    assert caught.value.where == str(tmp_path / "gone.mp4")


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_file_is_named_and_the_next_is_read(
    reader: LumaReader, own_tree: Path, tree: Path, damage: str
) -> None:
    whole, broken = Dataset.open(tree), Dataset.open(own_tree)
    path = broken.video_place(0, "wrist").path
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 3], "empty": b"", "text": b"no video"}[damage])
    with pytest.raises(DatasetError, match=r"video cannot be decoded") as caught:
        wrong(reader, broken, 4)
    assert caught.value.where == str(path)
    assert wrong(reader, whole, 1) < 3.0


def test_more_frames_than_there_are_or_another_rate_is_an_error(
    reader: LumaReader, tree: Path, episodes: list[EpisodeFrames]
) -> None:
    dataset = Dataset.open(tree)
    path = dataset.video_place(0, "wrist").path
    total = sum(len(episode) for episode in episodes)
    with pytest.raises(DatasetError, match=f"ends before frame {total}, which the metadata promises"):
        read(reader, Place(path, total - 5, 6), dataset.fps)
    with pytest.raises(DatasetError, match=r"a frame at .* s where .* was due"):
        read(reader, Place(path, 0, 10), 2 * dataset.fps)
