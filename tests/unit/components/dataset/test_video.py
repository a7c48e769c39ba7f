from __future__ import annotations

import io
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from components.core.errors import DatasetError, ParamsError
from components.core.params import Video, load_params
from components.dataset.video import decode_episode, decode_range, encode_episode, video_info

Frames = npt.NDArray[np.uint8]
Moving = Callable[..., Frames]


def psnr_db(left: Frames, right: Frames) -> float:
    return float(10 * np.log10(255**2 / np.mean((left.astype(np.float64) - right) ** 2)))


def test_the_default_keeps_detail_and_colour(moving_frames: Moving, project: Path) -> None:
    video = load_params(project / "params.yaml").ingest.video
    frames = moving_frames(40, seed=3, size_px=96)
    decoded = decode_episode(encode_episode(frames, 20, video))
    assert decoded.shape == frames.shape
    assert psnr_db(frames, decoded) > 40
    for channel in range(3):
        assert psnr_db(frames[..., channel], decoded[..., channel]) > 38


def test_half_resolution_colour_is_worse(moving_frames: Moving, video: Video) -> None:
    frames = moving_frames(20, seed=3)
    halved = video.model_copy(update={"pix_fmt": "yuv420p"})
    quality = [psnr_db(frames, decode_episode(encode_episode(frames, 20, v))) for v in (video, halved)]
    assert quality[0] > quality[1] + 3


@pytest.mark.parametrize("codec", ["h264", "libsvtav1"])
def test_same_frames_give_same_bytes_without_time_or_version(moving_frames: Moving, codec: str) -> None:
    frames = moving_frames(12, seed=1, size_px=64)
    video = Video(codec=codec, crf=20, gop=5, pix_fmt="yuv420p")
    data = encode_episode(frames, 20, video)
    assert encode_episode(frames, 20, video) == data
    assert b"Lavf" not in data
    with av.open(io.BytesIO(data)) as container:
        assert "creation_time" not in container.metadata
        assert container.streams.video[0].frames == 12
    assert len(decode_episode(data)) == 12


def test_tiny_frames_give_the_same_bytes_every_time(moving_frames: Moving, video: Video) -> None:
    frames = moving_frames(31, seed=40)
    assert len({encode_episode(frames, 20, video) for _ in range(60)}) == 1


def test_the_effort_of_the_encoder_is_a_choice(moving_frames: Moving, video: Video) -> None:
    frames = moving_frames(20, seed=6, size_px=64)
    usual, hard = (encode_episode(frames, 20, video.model_copy(update={"preset": p})) for p in (None, "medium"))
    assert usual != hard
    assert encode_episode(frames, 20, video.model_copy(update={"preset": "veryfast"})) == usual
    assert video_info(video, height=64, width=64, fps=20)["video.preset"] == "veryfast"
    with pytest.raises(ParamsError, match="preset is 'hasty'; h264 takes fast, faster, medium"):
        encode_episode(frames, 20, video.model_copy(update={"preset": "hasty"}))


def test_nothing_is_no_video(video: Video) -> None:
    with pytest.raises(DatasetError, match="a video of no frame"):
        encode_episode([], 20, video)


def test_a_worker_process_gives_the_same_bytes(moving_frames: Moving, video: Video) -> None:
    frames = moving_frames(12, seed=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(encode_episode, frames, 20, video).result() == encode_episode(frames, 20, video)


@pytest.mark.parametrize("length", [1, 2, 11])
def test_every_frame_comes_back(moving_frames: Moving, video: Video, length: int) -> None:
    assert decode_episode(encode_episode(moving_frames(length, seed=2), 30, video)).shape == (length, 32, 32, 3)


def test_a_range_is_the_frames_asked_for(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    data = encode_episode(moving_frames(45, seed=2), 20, video)
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    whole = decode_episode(data)
    for first, count in [(0, 45), (0, 1), (9, 3), (10, 11), (44, 1)]:
        np.testing.assert_array_equal(decode_range(path, first, count, 20), whole[first : first + count])


def test_a_range_past_the_end_is_refused(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_episode(moving_frames(10, seed=2), 20, video))
    with pytest.raises(DatasetError, match=r"a.mp4: 4 frames from frame 6 on, the metadata promises 5"):
        decode_range(path, 6, 5, 20)


def test_another_rate_than_promised_is_refused(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_episode(moving_frames(10, seed=2), 10, video))
    with pytest.raises(DatasetError, match=r"a frame at 0.100 s where 0.050 was due"):
        decode_range(path, 0, 5, 20)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_damaged_file_is_named(moving_frames: Moving, video: Video, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.mp4"
    data = encode_episode(moving_frames(10, seed=2), 20, video)
    if damage != "missing":
        path.write_bytes(b"" if damage == "empty" else data[: len(data) // 2])
    with pytest.raises(DatasetError, match=r"a.mp4: video cannot be decoded"):
        decode_range(path, 0, 10, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codec": "hevc"}, "ingest.video.codec is 'hevc', expected one of h264, libsvtav1"),
        ({"pix_fmt": "rgb24"}, "ingest.video.pix_fmt is 'rgb24'; h264 takes yuv420p, yuv444p here"),
        ({"codec": "libsvtav1"}, "'yuv444p'; libsvtav1 takes yuv420p here"),
        ({"crf": 60}, "ingest.video.crf is 60; h264 takes 0 to 51"),
    ],
)
def test_settings_that_no_encoder_can_do_are_refused(
    moving_frames: Moving, video: Video, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ParamsError, match=message):
        encode_episode(moving_frames(2, seed=1), 20, video.model_copy(update=changes))


def test_info_describes_what_the_file_holds(moving_frames: Moving, video: Video, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_episode(moving_frames(5, seed=1), 20, video))
    info = video_info(video, height=32, width=32, fps=20)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert info["video.codec"] == stream.codec_context.name
        assert info["video.pix_fmt"] == stream.pix_fmt
        assert info["video.fps"] == stream.average_rate
        assert (info["video.height"], info["video.width"]) == (stream.height, stream.width)
