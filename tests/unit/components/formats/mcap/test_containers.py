"""Layouts of the file itself: chunks, compression, checksums, cuts, and what is read of it and when."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType

from components.core.episode import episode_id
from components.core.errors import EpisodeError, FormatError
from components.formats.mcap import lazy, reader
from components.formats.mcap.index import contents_of
from components.formats.mcap.scan import scan
from components.formats.mcap.summary import read_summary

COUNT = 40
NUMBERS = itertools.count()


def entries(bags: ModuleType, count: int = COUNT) -> list[Any]:
    """Joints at 10 Hz and a camera beside them."""
    found = []
    for number in range(count):
        at = bags.EPOCH + number * bags.SECOND // 10
        found.append(("/joints", "sensor_msgs/msg/JointState", at + 5, bags.joints(at, [number, -number])))
        image = bags.raw_image(at, "rgb8", 4, 4, bytes([number]) * 48)
        found.append(("/cam", "sensor_msgs/msg/Image", at + 6, image))
    return found


LAYOUTS: dict[str, dict[str, Any]] = {
    "zstd": {"compression": CompressionType.ZSTD},
    "lz4": {"compression": CompressionType.LZ4},
    "none": {"compression": CompressionType.NONE},
    "no chunks": {"use_chunking": False},
    "one chunk": {"chunk_size": 1 << 24},
    "no index": {"index_types": IndexType.NONE},
    "no statistics": {"use_statistics": False},
    "nothing repeated": {"repeat_channels": False, "repeat_schemas": False},
    "no checksums": {"enable_crcs": False},
    "data checksum": {"enable_data_crcs": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_episode(bags: ModuleType, tmp_path: Path, layout: str) -> None:
    expected = bags.read(bags.write(tmp_path / "reference.mcap", entries(bags)))
    path = bags.write(tmp_path / "a.mcap", entries(bags), **LAYOUTS[layout])
    episode = bags.read(path)
    assert episode_id(episode) == episode_id(expected)
    for one, other in zip(episode.streams["cam"].values, expected.streams["cam"].values, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_span(bags: ModuleType, tmp_path: Path, layout: str) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags), **LAYOUTS[layout])
    part = reader.read_range(bags.opened(path), "", bags.SECOND, 2 * bags.SECOND)
    np.testing.assert_array_equal(part.streams["joints"].values[:, 0], range(10, 20))
    assert [int(frame[0, 0, 0]) for frame in part.streams["cam"].values] == list(range(10, 20))
    assert part.streams["joints"].time_ns[0] == bags.EPOCH + bags.SECOND


def test_a_sound_summary_spares_the_scan_and_says_the_same(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags), metadata={"task": "wave"})
    told, seen = read_summary(path, where="a"), scan(path, where="a")
    assert told is not None
    assert (told.counts, told.chunks, told.metadata) == (seen.counts, seen.chunks, seen.metadata)
    assert (told.start_ns, told.end_ns, told.profile) == (seen.start_ns, seen.end_ns, "ros2")
    data = bytearray(path.read_bytes())
    data[-60] ^= 1
    path.write_bytes(data)
    assert read_summary(path, where="a") is None
    assert contents_of(path, where="a").counts == seen.counts


def test_messages_follow_each_other_by_their_log_times(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags)[::-1])
    episode = bags.read(path)
    np.testing.assert_array_equal(episode.streams["joints"].values[:, 0], range(COUNT))
    assert [int(frame[0, 0, 0]) for frame in episode.streams["cam"].values] == list(range(COUNT))


@pytest.mark.parametrize("chunked", [True, False])
def test_a_cut_file_is_refused_with_what_is_left_of_it(bags: ModuleType, tmp_path: Path, chunked: bool) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags), use_chunking=chunked)
    recording, whole = bags.opened(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for attempt in (lambda: bags.opened(path), lambda: reader.read_part(recording, "")):
        with pytest.raises(FormatError, match=r"^a\.mcap: .* before that are [1-9]\d whole messages\.") as caught:
            attempt()
        assert caught.value.code == "truncated"


def _chunks(data: bytes) -> list[tuple[int, int]]:
    """(offset, end) of the chunk records."""
    found, offset = [], 8
    while offset < len(data) - 8:
        opcode, length = struct.unpack_from("<BQ", data, offset)
        if opcode == 6:
            found.append((offset, offset + 9 + length))
        offset += 9 + length
    return found


@pytest.mark.parametrize("indexed", [True, False])
def test_spans_beside_a_damaged_chunk_are_read(bags: ModuleType, tmp_path: Path, indexed: bool) -> None:
    options = {} if indexed else {"index_types": IndexType.NONE, "use_statistics": False}
    path = bags.write(tmp_path / "a.mcap", entries(bags), **options)
    data = bytearray(path.read_bytes())
    chunks = _chunks(data)
    offset, end = chunks[len(chunks) // 2]
    data[end - 20] ^= 0x55
    path.write_bytes(data)
    recording = bags.opened(path)
    if not indexed:
        assert [(p.code, p.where) for p in recording.problems] == [("bad_chunk", f"a.mcap chunk at byte {offset}")]
    with pytest.raises(FormatError, match=rf"^a\.mcap chunk at byte {offset}: ") as caught:
        reader.read_part(recording, "")
    assert caught.value.code == "bad_chunk"
    with pytest.raises(FormatError, match=rf"chunk at byte {offset}"):
        reader.read_range(recording, "", 0, 4 * bags.SECOND)
    for start in (0, 3):
        part = reader.read_range(recording, "", start * bags.SECOND, (start + 1) * bags.SECOND)
        np.testing.assert_array_equal(part.streams["joints"].values[:, 0], range(start * 10, start * 10 + 10))
        assert len(list(part.streams["cam"].values)) == 10


def _patched(data: bytes, offset: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def test_absurd_lengths_are_refused_before_memory_is_taken(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags))
    recording, whole = bags.opened(path), path.read_bytes()
    offset = _chunks(whole)[0][0]
    for place, form, value, code in (
        (offset + 1, "<Q", 1 << 60, "bad_record"),
        (offset + 1, "<Q", len(whole), "bad_record"),
        (offset + 9 + 16, "<Q", 1 << 60, "too_large"),
        (offset + 9 + 16, "<Q", 1 << 29, "bad_chunk"),
        (offset + 9 + 24, "<I", 7, "bad_chunk"),
        (offset + 9 + 28, "<I", 1 << 31, "bad_chunk"),
        (offset + 9 + 36, "<Q", 1 << 60, "bad_chunk"),
    ):
        path.write_bytes(_patched(whole, place, form, value))
        with pytest.raises(FormatError, match=r"^a\.mcap") as caught:
            reader.read_part(recording, "")
        assert caught.value.code == code, (place - offset, value)


def test_the_checksum_of_the_data_is_checked(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags), use_chunking=False, enable_data_crcs=True)
    recording, data = bags.opened(path), bytearray(path.read_bytes())
    data[data.index(b"\0\0\0rgb8") + 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="the checksum of its data is") as caught:
        reader.read_part(recording, "")
    assert caught.value.code == "bad_crc"


def test_a_compression_that_nobody_knows_is_named(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags))
    recording = bags.opened(path)
    path.write_bytes(path.read_bytes().replace(b"\4\0\0\0zstd", b"\4\0\0\0zlib"))
    with pytest.raises(FormatError, match="is compressed with 'zlib', known are zstd and lz4") as caught:
        reader.read_part(recording, "")
    assert caught.value.code == "unsupported_compression"


def test_frames_are_read_when_they_are_indexed(
    bags: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = bags.read(bags.write(tmp_path / "a.mcap", entries(bags)))
    read: list[int] = []
    original = lazy.read_chunk
    monkeypatch.setattr(lazy, "read_chunk", lambda *args, **kw: read.append(args[1]) or original(*args, **kw))
    frames = episode.streams["cam"].values
    assert len(frames) == COUNT
    assert read == []
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(COUNT))
    # Front to back, every chunk is unpacked once.
    assert len(read) == len(set(read)) > 1
    assert int(frames[-1][0, 0, 0]) == COUNT - 1
    assert [int(frame[0, 0, 0]) for frame in frames[3:9:2]] == [3, 5, 7]
    with pytest.raises(IndexError):
        frames[COUNT]


def test_a_file_that_changes_after_it_was_read_is_noticed(bags: ModuleType, tmp_path: Path) -> None:
    for options in ({}, {"use_chunking": False}):
        path = bags.write(tmp_path / "a.mcap", entries(bags), **options)
        frames = bags.read(path).streams["cam"].values
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(FormatError, match=r"a\.mcap"):
            frames[COUNT - 1]
        path.unlink()
        with pytest.raises(FormatError, match=r"a\.mcap: cannot be read any more") as caught:
            frames[0]
        assert caught.value.code == "unreadable"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 400), min_size=1, max_size=40),
    span=st.tuples(st.integers(0, 400), st.integers(1, 200)),
    chunk_size=st.sampled_from([1, 300, 1 << 20]),
    chunked=st.booleans(),
)
def test_a_span_holds_what_was_logged_in_it_and_nothing_else(
    bags: ModuleType, tmp_path: Path, times: list[int], span: tuple[int, int], chunk_size: int, chunked: bool
) -> None:
    kind = "std_msgs/msg/Float64"
    logged = [("/v", kind, bags.EPOCH + time, {"data": float(number)}) for number, time in enumerate(times)]
    path = bags.write(tmp_path / f"{next(NUMBERS)}.mcap", logged, chunk_size=chunk_size, use_chunking=chunked)
    recording, first = bags.opened(path), min(times)
    start, end = span[0], span[0] + span[1]
    inside = sorted((time, number) for number, time in enumerate(times) if start <= time - first < end)
    if not inside:
        with pytest.raises(EpisodeError, match="no mapped topic has a message in this span"):
            reader.read_range(recording, "", start, end)
        return
    stream = reader.read_range(recording, "", start, end).streams["v"]
    assert stream.time_ns.tolist() == [bags.EPOCH + time for time, _ in inside]
    assert stream.values[:, 0].tolist() == [number for _, number in inside]


def test_memory_does_not_grow_with_the_file(bags: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "_KEPT_BYTES", 1 << 19)
    peaks = []
    for count in (100, 400):
        images = [
            ("/cam", "sensor_msgs/msg/Image", at, bags.raw_image(at, "rgb8", 64, 64, bytes([at % 251]) * 12288))
            for at in range(bags.EPOCH, bags.EPOCH + count)
        ]
        path = bags.write(tmp_path / "a.mcap", images, chunk_size=1 << 17, compression=CompressionType.NONE)
        tracemalloc.start()
        frames = bags.read(path).streams["cam"].values
        assert sum(frame.shape == (64, 64, 3) for frame in frames) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The files have 1.2 and 4.9 MB.
    assert peaks[1] < peaks[0] * 1.1 < 2 << 20


def test_a_span_without_messages_is_refused(bags: ModuleType, tmp_path: Path) -> None:
    recording = bags.opened(bags.write(tmp_path / "a.mcap", entries(bags)))
    with pytest.raises(EpisodeError, match="no mapped topic has a message in this span") as caught:
        reader.read_range(recording, "", 100 * bags.SECOND, 101 * bags.SECOND)
    assert caught.value.code == "missing_stream"
    with pytest.raises(EpisodeError, match="the span from 5 to 5 ns is empty") as caught:
        reader.read_range(recording, "", 5, 5)
    assert caught.value.code == "bad_span"


def test_a_recording_of_something_else_is_refused_by_its_topics(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", [("/chatter", "std_msgs/msg/String", 1, {"data": "a"})])
    with pytest.raises(FormatError, match=r"none of its topics \(/chatter\)") as caught:
        bags.read(path)
    assert caught.value.code == "missing_stream"


def test_a_recording_without_messages_has_no_episode(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", [])
    with pytest.raises(FormatError, match="holds no message") as caught:
        bags.read(path)
    assert caught.value.code == "no_episodes"
    with pytest.raises(FormatError, match="holds no message"):
        reader.read_range(bags.opened(path), "", 0, 1)


def test_a_file_that_is_gone_is_said_to_be(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", entries(bags))
    recording = bags.opened(path)
    path.unlink()
    for attempt in (
        lambda: bags.opened(path),
        lambda: reader.fields(path, "", recording.mapping, where="a.mcap"),
        lambda: reader.read_part(recording, ""),
        lambda: reader.read_range(recording, "", 0, 1),
    ):
        with pytest.raises(FormatError, match=r"^a\.mcap: cannot be read \(No such file") as caught:
            attempt()
        assert caught.value.code == "unreadable"
