from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.errors import DatasetError
from components.core.params import Video
from components.dataset.loading.decoder import Decoder
from components.dataset.video import decode_range, encode_episode

FPS, LENGTH = 20, 47
CODINGS = {
    "444": Video(codec="h264", crf=12, gop=10, pix_fmt="yuv444p"),
    "420": Video(codec="h264", crf=20, gop=4, pix_fmt="yuv420p"),
    "av1": Video(codec="libsvtav1", crf=30, gop=6, pix_fmt="yuv420p"),
}
Frames = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, moving_frames: Callable[..., Frames]) -> dict[str, Path]:
    """One file of every coding."""
    folder = tmp_path_factory.mktemp("videos")
    paths = {}
    for number, (name, coding) in enumerate(CODINGS.items()):
        paths[name] = folder / f"{name}.mp4"
        # An odd width: rows of a picture do not lie one after the other.
        paths[name].write_bytes(encode_episode(moving_frames(LENGTH, number, 66), FPS, coding))
    return paths


def decoded(decoder: Decoder, path: Path, first: int, count: int) -> Frames:
    out = np.empty((count, 66, 66, 3), np.uint8)
    decoder.decode(path, first, FPS, out)
    return out


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.tuples(st.sampled_from(sorted(CODINGS)), st.integers(0, LENGTH - 1), st.integers(1, LENGTH)), max_size=6
    )
)
def test_any_runs_in_any_order_give_the_bytes_of_decode_range(
    videos: dict[str, Path], runs: list[tuple[str, int, int]]
) -> None:
    decoder = Decoder(most_open=2)
    for name, first, count in runs:
        count = min(count, LENGTH - first)
        np.testing.assert_array_equal(
            decoded(decoder, videos[name], first, count), decode_range(videos[name], first, count, FPS)
        )
    decoder.close()


def test_pictures_go_where_they_belong_and_nowhere_else(videos: dict[str, Path]) -> None:
    memory = np.full((5, 2, 66, 66, 3), 7, np.uint8)
    decoder = Decoder()
    decoder.decode(videos["444"], 11, FPS, memory[1:4, 1])
    np.testing.assert_array_equal(memory[1:4, 1], decode_range(videos["444"], 11, 3, FPS))
    memory[1:4, 1] = 7
    assert (memory == 7).all()
    decoder.close()


def test_no_more_files_are_open_than_allowed(videos: dict[str, Path]) -> None:
    def opened() -> int:
        return sum(link.resolve() in videos.values() for link in Path("/proc/self/fd").iterdir())

    decoder = Decoder(most_open=2)
    for name in videos:
        decoded(decoder, videos[name], 0, 1)
    assert opened() == 2
    decoder.close()
    assert opened() == 0


def test_frames_that_are_not_there_are_missed(videos: dict[str, Path]) -> None:
    decoder = Decoder()
    with pytest.raises(DatasetError, match=r"444.mp4: 2 frames from frame 45 on, the metadata promises 3"):
        decoded(decoder, videos["444"], 45, 3)
    decoder.close()


def test_pictures_of_another_size_or_rate_are_refused(videos: dict[str, Path]) -> None:
    decoder = Decoder()
    with pytest.raises(DatasetError, match="a picture of 66x66, expected 64x64"):
        decoder.decode(videos["444"], 0, FPS, np.empty((1, 64, 64, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a frame at 0.100 s where 0.067 was due"):
        decoder.decode(videos["444"], 0, 30, np.empty((3, 66, 66, 3), np.uint8))
    decoder.close()


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    for name in ("noise.mp4", "none.mp4"):
        with pytest.raises(DatasetError, match=rf"{name}: video cannot be decoded: .* Restore the file"):
            decoded(Decoder(), tmp_path / name, 0, 1)


def test_a_file_that_was_restored_is_opened_again(videos: dict[str, Path], tmp_path: Path) -> None:
    good, path = videos["444"].read_bytes(), tmp_path / "video.mp4"
    path.write_bytes(good)
    decoder = Decoder()
    decoded(decoder, path, 0, 1)
    path.write_bytes(good[:3000] + bytes(len(good) - 3000))
    with pytest.raises(DatasetError, match="video cannot be decoded"):
        decoded(decoder, path, 10, 30)
    path.write_bytes(good)
    np.testing.assert_array_equal(decoded(decoder, path, 10, 30), decode_range(path, 10, 30, FPS))
    decoder.close()
