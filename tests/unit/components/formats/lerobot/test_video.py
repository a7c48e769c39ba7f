from __future__ import annotations

from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from components.core.errors import EpisodeError, FormatError
from components.formats.lerobot import video
from components.formats.lerobot.video import Clip, VideoFrames, codec_name, read_header, require_frames

SHADES = [20 + 8 * k for k in range(12)]


@pytest.fixture
def path(trees: ModuleType, tmp_path: Path) -> Path:
    path = tmp_path / "camera.mp4"
    path.write_bytes(trees.encode(SHADES))
    return path


def frames_of(path: Path, count: int, clip: Clip | None = None) -> VideoFrames:
    return VideoFrames(path, clip or Clip(), count, 10, where="tree#0 (camera)")


def test_the_header(path: Path) -> None:
    header = read_header(path, where="")
    assert (header.codec, header.width, header.height, header.fps, header.frames) == ("h264", 64, 64, 10.0, 12)
    assert header.duration_s == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("name", "codec"), [("libsvtav1", "av1"), ("AV1", "av1"), ("libx264", "h264"), ("h265", "hevc"), ("mpeg4", "mpeg4")]
)
def test_codecs_go_by_the_name_of_what_they_write(name: str, codec: str) -> None:
    assert codec_name(name) == codec


def test_frames_in_any_order(trees: ModuleType, path: Path) -> None:
    frames = frames_of(path, 12)
    for index in (0, 1, 5, 5, 2, 11, 0, -1):
        assert abs(float(frames[index].mean()) - SHADES[index]) <= 2, index
    assert frames[3].shape == (64, 64, 3)
    assert frames[3].dtype == np.uint8
    assert len(frames[2:5]) == 3
    with pytest.raises(IndexError):
        frames[12]


def test_a_clip_begins_and_ends_between_frames(trees: ModuleType, path: Path) -> None:
    # Times as float32 sums and rounding leave them.
    for from_s in (0.5, 0.4999999, 0.5000001):
        frames = frames_of(path, 4, Clip(from_s, 0.9 - 0.05))
        assert np.abs(np.array(trees.shades_of(frames)) - SHADES[5:9]).max() <= 2


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"preset": "medium", "g": "250", "bf": "3"}),
        ("libx265", {"g": "250", "x265-params": "log-level=none:bframes=3"}),
        ("libsvtav1", {"g": "250"}),
        ("mpeg4", {"g": "250", "bf": "2", "qmin": "1", "qmax": "1", "b_qfactor": "1"}),
    ],
)
def test_key_frames_may_be_far_and_frames_out_of_order(
    trees: ModuleType, tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / "camera.mp4"
    shades = [20 + 5 * k for k in range(40)]
    path.write_bytes(trees.encode(shades, codec=codec, **options))
    for first, count in ((0, 40), (17, 12), (39, 1), (5, 35)):
        frames = frames_of(path, count, Clip(first / 10, (first + count - 0.5) / 10))
        assert np.abs(np.array(trees.shades_of(frames)) - shades[first : first + count]).max() <= 2
    assert np.abs(np.array(trees.shades_of(frames_of(path, 40))) - shades).max() <= 2


def test_front_to_back_decodes_once_and_closes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = av.open

    def counting(*args: object, **options: object) -> object:
        opened.append(args)
        return original(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(video.av, "open", counting)
    frames = frames_of(path, 12)
    for index in range(12):
        frames[index]
    assert len(opened) == 1
    assert frames._source is None


def test_a_clip_that_ends_early(path: Path) -> None:
    frames = frames_of(path, 15)
    assert frames[11].shape == (64, 64, 3)
    with pytest.raises(EpisodeError, match="12 frames for 15 rows") as caught:
        frames[12]
    assert (caught.value.code, caught.value.where) == ("video_too_short", "tree#0 (camera)")
    # The neighbour's frames are not taken for one's own.
    with pytest.raises(EpisodeError, match="4 frames for 5 rows"):
        list(frames_of(path, 5, Clip(0.5, 0.9 - 0.05)))


@pytest.mark.parametrize(
    ("clip", "count", "found"),
    [(Clip(), 13, 12), (Clip(0.5, 0.85), 5, 4), (Clip(0.5, 1.45), 10, 7), (Clip(9.0, 9.95), 10, 0)],
)
def test_the_header_tells_that_frames_are_missing(path: Path, clip: Clip, count: int, found: int) -> None:
    with pytest.raises(EpisodeError, match=f"{found} frames for {count} rows"):
        require_frames(read_header(path, where=""), clip, count, 10, where="")


@pytest.mark.parametrize(("clip", "count"), [(Clip(), 12), (Clip(), 5), (Clip(0.5, 0.85), 4), (Clip(0.5, 1.15), 7)])
def test_enough_frames_are_enough(path: Path, clip: Clip, count: int) -> None:
    header = read_header(path, where="")
    require_frames(header, clip, count, 10, where="")
    assert len(list(frames_of(path, count, clip))) == count


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_file(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FormatError, match="cannot be decoded") as caught:
        list(frames_of(path, 12))
    assert caught.value.code == "bad_video"


def test_a_damaged_frame_is_not_painted_over(trees: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "camera.mp4"
    data = bytearray(trees.encode(SHADES, size=256))
    start = data.index(b"mdat") + 800
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(EpisodeError, match=r"cannot be decoded|is damaged") as caught:
        list(frames_of(path, 12))
    assert caught.value.code == "bad_video"


@pytest.mark.parametrize(
    ("data", "code"), [(None, "missing_file"), (b"", "empty"), (b"version https://git-lfs.github.com", "lfs_pointer")]
)
def test_files_that_hold_no_video(tmp_path: Path, data: bytes | None, code: str) -> None:
    path = tmp_path / "camera.mp4"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(FormatError, match=r"missing|empty|pointer") as caught:
        read_header(path, where="x")
    assert caught.value.code == code


def test_a_frame_too_large_to_be_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_MAX_PIXELS", 1000)
    with pytest.raises(FormatError, match="claim 64 x 64 pixels"):
        read_header(path, where="")
