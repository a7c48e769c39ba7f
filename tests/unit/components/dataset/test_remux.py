from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset.layout import video_path
from components.dataset.remux import RollingVideo, VideoFile, cut_episode, inspect_episode
from components.dataset.video import decode_episode, decode_range, encode_depth, encode_episode

Moving = Callable[..., npt.NDArray[np.uint8]]
TEMPLATE = video_path("observation.images.wrist")
AV1 = Video(codec="libsvtav1", crf=30, gop=5, pix_fmt="yuv420p")


@pytest.mark.parametrize("codec", ["h264", "libsvtav1"])
def test_joined_episodes_decode_to_the_very_same_pixels(
    moving_frames: Moving, video: Video, tmp_path: Path, codec: str
) -> None:
    settings = video if codec == "h264" else AV1
    lengths = (12, 7, 30)
    parts = [encode_episode(moving_frames(n, seed=n, size_px=64), 20, settings) for n in lengths]
    file = VideoFile(tmp_path / "a.mp4", 20)
    for part in parts:
        file.append(inspect_episode(part, where="a"))
    file.close()
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        np.testing.assert_array_equal(decode_range(file.path, first, length, 20), decode_episode(part))
        first += length


def test_packets_are_copied_and_evenly_spaced(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    parts = [encode_episode(moving_frames(n, seed=n), 30, video) for n in (11, 4)]
    file = VideoFile(tmp_path / "a.mp4", 30)
    for part in parts:
        file.append(inspect_episode(part, where="a"))
    file.close()
    assert file.path.stat().st_mode & 0o777 == 0o644
    sources = [packet for part in parts for packet in _packets(part, tmp_path)]
    joined = _packets(file.path.read_bytes(), tmp_path)
    assert [data for _, data in joined] == [data for _, data in sources]
    assert [time for time, _ in joined] == [Fraction(index, 30) for index in range(15)]


def _packets(data: bytes, folder: Path) -> list[tuple[Fraction, bytes]]:
    path = folder / "part.mp4"
    path.write_bytes(data)
    with av.open(str(path), "r") as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.pts is not None]
        return [(Fraction(packet.pts or 0) * Fraction(packet.time_base or 0), bytes(packet)) for packet in packets]


def test_other_encoder_settings_are_refused(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    frames = moving_frames(5, seed=1)
    other = video.model_copy(update={"pix_fmt": "yuv420p"})
    file = VideoFile(tmp_path / "a.mp4", 20)
    file.append(inspect_episode(encode_episode(frames, 20, video), where="a"))
    with pytest.raises(DatasetError, match="encoder settings of this episode differ"):
        file.append(inspect_episode(encode_episode(frames, 20, other), where="b"))
    file.close()


@pytest.mark.parametrize("data", [b"", b"not a video"])
def test_something_else_than_video_is_refused(data: bytes) -> None:
    with pytest.raises(DatasetError, match=r"x.mcap \(wrist\): encoded video cannot be read"):
        inspect_episode(data, where="x.mcap (wrist)")


def test_the_next_file_opens_at_the_limit(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    part = inspect_episode(encode_episode(moving_frames(10, seed=1), 20, video), where="a")
    rolling = RollingVideo(tmp_path, TEMPLATE, 20, limit_bytes=2 * len(part.data) + 1, first=999)
    places = [rolling.append(part) for _ in range(5)]
    rolling.close()
    assert places == [
        ({"chunk_index": 0, "file_index": 999}, 0),
        ({"chunk_index": 0, "file_index": 999}, 10),
        ({"chunk_index": 1, "file_index": 0}, 0),
        ({"chunk_index": 1, "file_index": 0}, 10),
        ({"chunk_index": 1, "file_index": 1}, 0),
    ]
    assert len(list(tmp_path.rglob("*.mp4"))) == 3


def test_another_coding_opens_another_file(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    parts = [inspect_episode(encode_episode(moving_frames(4, 1, size), 20, video), where="a") for size in (32, 32, 64)]
    rolling = RollingVideo(tmp_path, TEMPLATE, 20, limit_bytes=1 << 20)
    assert [rolling.append(part) for part in parts] == [
        ({"chunk_index": 0, "file_index": 0}, 0),
        ({"chunk_index": 0, "file_index": 0}, 4),
        ({"chunk_index": 0, "file_index": 1}, 0),
    ]
    rolling.close()
    assert rolling.next == 2


@pytest.mark.parametrize("codec", ["h264", "libsvtav1", "ffv1"])
def test_what_was_joined_is_cut_out_again(moving_frames: Moving, video: Video, tmp_path: Path, codec: str) -> None:
    settings = video if codec == "h264" else AV1
    lengths = (12, 7, 30)
    clips = [moving_frames(n, seed=n, size_px=64) for n in lengths]
    if codec == "ffv1":
        parts = [encode_depth(clip[..., 0].astype(np.uint16) * 257, 30) for clip in clips]
    else:
        parts = [encode_episode(clip, 30, settings) for clip in clips]
    file = VideoFile(tmp_path / "a.mp4", 30)
    for part in parts:
        file.append(inspect_episode(part, where="a"))
    file.close()
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        cut = cut_episode(file.path, first, length, 30)
        assert _packets(cut, tmp_path) == _packets(part, tmp_path)
        assert inspect_episode(cut, where="a").coding == inspect_episode(part, where="a").coding
        np.testing.assert_array_equal(decode_episode(cut), decode_episode(part))
        first += length
    with pytest.raises(DatasetError, match=r"1 frames from frame 48 on, expected 2|no key frame at frame 48"):
        cut_episode(file.path, 48, 2, 30)


def test_cutting_begins_at_a_key_frame_and_ends_in_the_file(
    moving_frames: Moving, video: Video, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_episode(moving_frames(10, seed=1), 20, video))
    with pytest.raises(DatasetError, match=r"a.mp4: no key frame at frame 3"):
        cut_episode(path, 3, 2, 20)
    with pytest.raises(DatasetError, match="10 frames from frame 0 on, expected 11"):
        cut_episode(path, 0, 11, 20)
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"a.mp4: video cannot be read"):
        cut_episode(path, 0, 10, 20)
