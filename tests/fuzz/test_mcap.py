"""Damaged MCAP files of every layout and encoding: each ends in good episodes or in errors with a code and a place."""

from __future__ import annotations

import os
import resource
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from beside import UNIT, helpers
from mcap.writer import CompressionType, IndexType

from components.core.episode import PICTURES, Episode, episode_id
from components.core.errors import FormatError
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import Mapping
from components.formats.mcap import reader
from components.formats.source import Recording

CASES = 280
SEED = 20_260_102
CASE_S = 10
# All cases together, above what the process had before them.
GROWTH_BYTES = 300 << 20
CODES = {
    # Of the container.
    "bad_magic",
    "truncated",
    "bad_record",
    "bad_chunk",
    "bad_crc",
    "too_large",
    "unsupported_compression",
    "bad_metadata",
    "missing_file",
    # Of topics and messages.
    "bad_schema",
    "bad_message",
    "unsupported_encoding",
    "missing_marker",
    "missing_stream",
    "missing_field",
    "no_episodes",
    "bad_image",
    "bad_time",
    "unstamped",
    "wrong_names",
    "wrong_shape",
    "wrong_type",
    "wrong_value",
}
Mutations = Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]
LAYOUTS: dict[str, dict[str, Any]] = {
    "zstd": {"compression": CompressionType.ZSTD, "enable_data_crcs": True},
    "lz4": {"compression": CompressionType.LZ4},
    "bare": {"compression": CompressionType.NONE, "enable_crcs": False, "index_types": IndexType.NONE},
    "plain": {"use_chunking": False, "enable_crcs": False, "use_statistics": False},
}


@pytest.fixture(scope="module")
def bags() -> ModuleType:
    """The helpers of the unit tests of this reader."""
    return helpers(UNIT / "formats/mcap/bags.py")


def ros2(bags: ModuleType) -> list[Any]:
    """Every kind of ROS 2 message, two of each, and markers of two episodes."""
    found: list[Any] = []
    for number in range(4):
        at = bags.EPOCH + number * bags.SECOND
        image = bags.raw_image(at, "rgb8", 2, 3, bytes(range(18)))
        depth = bags.raw_image(at, "16UC1", 2, 2, bytes(8))
        pose = {"position": dict.fromkeys("xyz", 1.0), "orientation": dict.fromkeys("xyzw", 0.5)}
        found += [
            ("/mark", "std_msgs/msg/String", at, {"data": "start" if number % 2 == 0 else "stop"}),
            ("/action", "sensor_msgs/msg/JointState", at + 1, bags.joints(at, [number, 1])),
            ("/image", "sensor_msgs/msg/Image", at + 2, image),
            ("/depth", "sensor_msgs/msg/Image", at + 3, depth),
            ("/pose", "geometry_msgs/msg/PoseStamped", at + 4, {"header": bags.header(at), "pose": pose}),
            ("/jpeg", "sensor_msgs/msg/CompressedImage", at + 5, bags.compressed(at, bags.jpeg(size=(4, 4)))),
        ]
    found.insert(0, ("/instruction", "std_msgs/msg/String", bags.EPOCH, {"data": "pour"}))
    return found


def foxglove(bags: ModuleType) -> list[Any]:
    """protobuf and JSON."""
    nested = {"Vector3": dict.fromkeys("xyz", "double"), "Quaternion": dict.fromkeys("xyzw", "double")}
    nested["Pose"] = {"position": "Vector3", "orientation": "Quaternion"}
    kind = bags.protobuf_type("foxglove.PoseInFrame", {"timestamp": "time", "pose": "Pose"}, nested)
    found: list[Any] = []
    for number in range(4):
        pose = kind()
        pose.timestamp.seconds, pose.pose.position.x = 1_700_000_000 + number, number
        at = bags.EPOCH + number * bags.SECOND
        body = {"timestamp": {"sec": number, "nsec": 1}, "q": [1, 2.5, number], "grip": True}
        found += [("/pose", "foxglove.PoseInFrame", at, pose), ("/cmd", "json:Arm", at, body)]
    return found


SPANS = {"episode": {"by": "marker", "topic": "/mark"}, "instruction": "/instruction"}
STREAMS = {
    "action": {"from": "/action", "kind": "action"},
    "image": {"from": "/image", "kind": "image"},
    "depth": {"from": "/depth", "kind": "depth"},
    "pose": {"from": "/pose", "kind": "state"},
    "jpeg": {"from": "/jpeg", "kind": "image"},
}


def read_all(path: Path, ruling: Mapping | None) -> Iterator[Episode | FormatError]:
    """The whole and every span of it, with the fields that `inspect` wants. Nothing but `FormatError` is caught."""
    try:
        found = reader.open_source(path, ruling, where=path.name)
        fields = reader.fields(path, "", found.mapping, where=path.name)
    except FormatError as error:
        yield error
        return
    assert all(field.count >= 0 and field.rate_hz >= 0 for field in fields)
    recording = Recording(
        path, path.name, "mcap", found.dialect, "0" * 64, found.parts, found.mapping, found.problems, found.cuts
    )
    readers = [lambda: reader.read_part(recording, "")]
    readers += [lambda cut=cut: reader.read_range(recording, "", cut.start_ns, cut.end_ns) for cut in found.cuts]
    for one in readers:
        try:
            episode = one()
            _look_at(episode)
        except FormatError as error:
            yield error
        else:
            yield episode


def _look_at(episode: Episode) -> None:
    where = episode.provenance.source_uri
    for stream in episode.streams.values():
        assert len(stream) == len(stream.time_ns) > 0
        if stream.kind not in PICTURES:
            assert np.asarray(stream.values).dtype == np.float64
            continue
        for frame in stream.values:
            picture = decode_depth(frame, where=where) if stream.kind == "depth" else decode_image(frame, where=where)
            assert picture.ndim == (2 if stream.kind == "depth" else 3)
    assert len(episode_id(episode)) == 64


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"a case took more than {CASE_S} s")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dialect", ["ros2", "foxglove", "spans"])
def test_damaged_files_end_in_episodes_or_in_errors_with_a_place(
    bags: ModuleType, mutations: Mutations, tmp_path: Path, layout: str, dialect: str
) -> None:
    path = tmp_path / "a.mcap"
    entries = foxglove(bags) if dialect == "foxglove" else ros2(bags)
    ruling = bags.mapping(STREAMS, **SPANS) if dialect == "spans" else None
    whole = bags.write(path, entries, chunk_size=600, **LAYOUTS[layout]).read_bytes()
    expected = list(read_all(path, ruling))
    assert all(isinstance(result, Episode) for result in expected)
    assert len(expected) == (3 if dialect == "spans" else 1)
    _exercise(path, ruling, mutations(whole, CASES * 3 // 4, SEED), expected if layout == "zstd" else None)


def _exercise(
    path: Path, ruling: Mapping | None, cases: Iterator[tuple[str, bytes]], expected: list[Any] | None
) -> Counter[str]:
    target = path if path.suffix == ".mcap" else path / "metadata.yaml"
    outcomes: Counter[str] = Counter()
    peak, known = _peak_bytes(), {episode_id(episode) for episode in expected or ()}
    previous = signal.signal(signal.SIGALRM, _too_long)
    try:
        for number, (name, damaged) in enumerate(cases, 1):
            target.write_bytes(damaged)
            # What is known of a file is kept by its size and time, and cases follow each other faster than clocks tick.
            os.utime(target, (number, number))
            signal.setitimer(signal.ITIMER_REAL, CASE_S)
            try:
                results = list(read_all(path, ruling))
            except Exception as error:
                raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            for result in results:
                if isinstance(result, Episode):
                    outcomes["episode"] += 1
                    # Where everything has a checksum, what is read is what was written.
                    assert not known or episode_id(result) in known, name
                else:
                    outcomes[result.code] += 1
                    assert result.code in CODES, f"{name}: {result}"
                    assert (result.where or "").startswith(path.name), f"{name}: {result}"
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert _peak_bytes() - peak < GROWTH_BYTES
    assert len(outcomes) > 2
    return outcomes


def test_damaged_messages_in_whole_files_are_named(bags: ModuleType, mutations: Mutations, tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    ruling = bags.mapping({name: rule for name, rule in STREAMS.items() if name != "jpeg"})
    entries = [entry for entry in ros2(bags)[1:7] if entry[0] in ruling.sources]

    def cases() -> Iterator[tuple[str, bytes]]:
        for topic, kind, at, message in entries:
            data = bags.cdr(kind, message)
            others = [entry for entry in entries if entry[0] != topic]
            for name, damaged in mutations(data, CASES // 8, SEED):
                bags.write(path, [*others, (topic, kind, at, damaged)])
                yield f"{topic} {name}", path.read_bytes()

    outcomes = _exercise(path, ruling, cases(), None)
    assert outcomes["episode"] > 0


def test_damaged_metadata_of_a_bag_is_refused_or_its_files_are_read(
    bags: ModuleType, mutations: Mutations, tmp_path: Path
) -> None:
    folder = tmp_path / "bag"
    names = ["a_0.mcap", "a_1.mcap"]
    entries = foxglove(bags)
    bags.write(folder / names[0], entries[:4])
    bags.write(folder / names[1], entries[4:])
    said = {"relative_file_paths": names, "message_count": 8, "topics_with_message_count": []}
    text = yaml.safe_dump({"rosbag2_bagfile_information": said}).encode()
    _exercise(folder, None, mutations(text, CASES // 2, SEED), None)


def test_the_untouched_spans_of_a_damaged_file_are_read(bags: ModuleType, tmp_path: Path) -> None:
    path = bags.write(tmp_path / "a.mcap", ros2(bags), chunk_size=300)
    ruling = bags.mapping({"action": STREAMS["action"], "image": STREAMS["image"]}, **SPANS)
    whole = path.read_bytes()
    _, *good = read_all(path, ruling)
    ids = [episode_id(episode) for episode in good]
    assert len(ids) == 2
    seen: Counter[tuple[bool, ...]] = Counter()
    for place in range(46, len(whole), 23):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xA5]) + whole[place + 1 :])
        os.utime(path, (place, place))
        results = list(read_all(path, ruling))
        read = tuple(isinstance(result, Episode) for result in results[1:])
        seen[read] += 1
        # A lost marker may cost an episode; it never makes another of one.
        assert {episode_id(result) for result in results[1:] if isinstance(result, Episode)} <= set(ids), place
    # The first is damaged and the second read, and the other way round.
    assert seen[False, True] > 5
    assert seen[True, False] > 5


def test_a_chunk_that_unpacks_without_end_costs_no_memory(bags: ModuleType, tmp_path: Path) -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 28))
    path = tmp_path / "a.mcap"
    path.write_bytes(_with_chunk(bags.write(path, ros2(bags)).read_bytes(), b"zstd", bomb))
    peak, start = _peak_bytes(), time.process_time()
    results = list(read_all(path, bags.mapping(STREAMS)))
    assert {result.code for result in results if isinstance(result, FormatError)} == {"bad_chunk"}
    assert _peak_bytes() - peak < 64 << 20
    assert time.process_time() - start < CASE_S


def _with_chunk(whole: bytes, compression: bytes, packed: bytes) -> bytes:
    """The header of a file, one chunk that claims 1000 bytes, and the end of the file."""
    (length,) = struct.unpack_from("<Q", whole, 9)
    head = whole[: 17 + length]
    body = struct.pack("<QQQI", 1, 2, 1000, 0) + struct.pack("<I", len(compression)) + compression
    body += struct.pack("<Q", len(packed)) + packed
    end = struct.pack("<BQI", 15, 4, 0) + struct.pack("<BQQQI", 2, 20, 0, 0, 0) + whole[:8]
    return head + struct.pack("<BQ", 6, len(body)) + body + end
