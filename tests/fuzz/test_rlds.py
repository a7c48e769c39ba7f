"""Damaged TFRecords, records and features.json: a good episode, or an error with a code and a place."""

from __future__ import annotations

import json
import resource
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from beside import UNIT, helpers

from components.core.episode import PICTURES, Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.images import decode_depth, decode_image
from components.formats.registry import fields, open_recording, read_part
from components.formats.rlds.tfrecord import framing
from components.formats.source import Found

Mutations = Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]

CODES = {
    "bad_crc",
    "bad_features",
    "bad_image",
    "bad_length",
    "bad_message",
    "bad_tensor",
    "bad_text",
    "count_mismatch",
    "length_mismatch",
    "missing_stream",
    "no_episodes",
    "no_steps",
    "too_large",
    "too_short",
    "truncated",
    "wrong_shape",
    "wrong_type",
}
# Of resident memory, above what the process had before; the files are of some kilobytes.
_MAX_GROWTH_BYTES = 300 << 20
URI = "toy.tfrecord"


@pytest.fixture(scope="module")
def records() -> ModuleType:
    return helpers(UNIT / "formats/rlds/records.py")


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < _MAX_GROWTH_BYTES


def digest(episode: Episode) -> tuple[object, ...]:
    """All that an episode holds, pictures decoded. Raises what reading raises."""
    held: list[object] = [episode.instruction, sorted(episode.extra.items())]
    for name, stream in sorted(episode.streams.items()):
        held.append((name, stream.kind, stream.time_ns.tobytes()))
        if stream.kind in PICTURES:
            decode = decode_depth if stream.kind == "depth" else decode_image
            for frame in stream.values:
                held.append(decode(frame, where=f"{URI} {name}").tobytes())  # type: ignore[arg-type]
        else:
            held.append(np.asarray(stream.values).tobytes())
    return tuple(held)


def outcomes(path: Path, seen: Counter[str], case: str) -> dict[str, tuple[object, ...]]:
    """What every part of a file gives: contents, or nothing where it ended in one of `CODES`."""
    found: dict[str, tuple[object, ...]] = {}

    def note(error: FormatError) -> None:
        assert error.code in CODES, (case, error)
        assert (error.where or "").startswith(URI), (case, error)
        assert error.message, case
        seen[error.code] += 1

    try:
        recording = open_recording(Found(path, URI, "rlds"), sha256="0" * 64)
    except FormatError as error:
        note(error)
        return found
    for problem in recording.problems:
        note(FormatError(problem.detail, where=problem.where, code=problem.code))
    for part in recording.parts:
        try:
            fields(recording, part)
        except FormatError as error:
            note(error)
        try:
            found[part] = digest(read_part(recording, part))
        except (FormatError, EpisodeError) as error:
            note(error)
    seen["good"] += len(found)
    return found


def test_damaged_files_lose_only_the_records_that_are_damaged(
    records: ModuleType, mutations: Mutations, tmp_path: Path
) -> None:
    path = records.write(tmp_path, [records.episode(seed, 3) for seed in range(3)], records.features())
    whole = path.read_bytes()
    seen: Counter[str] = Counter()
    good = outcomes(path, seen, "whole")
    assert len(good) == 3
    ends = [span.offset + span.length + 4 for span in framing(path, where=URI).spans]
    for case, damaged in mutations(whole, 1200, 7):
        path.write_bytes(damaged)
        found = outcomes(path, seen, case)
        if len(damaged) == len(whole):
            # Lengths are intact unless the twelve bytes of a head were hit; then all records before it are read.
            first = next((n for n in range(len(whole)) if damaged[n] != whole[n]), len(whole))
            for number in (number for number, end in enumerate(ends) if end <= first):
                part = f"record-{number:06d}"
                assert found.get(part) == good[part], case
        for part, content in found.items():
            assert content in good.values(), (case, part)
    assert {"good", "bad_crc", "bad_length", "truncated"} <= set(seen)


def test_records_behind_a_damaged_one_are_read(records: ModuleType, mutations: Mutations, tmp_path: Path) -> None:
    payloads = [records.example(records.episode(seed, 3)) for seed in range(3)]
    path = records.write(tmp_path, payloads, records.features())
    seen: Counter[str] = Counter()
    good = outcomes(path, seen, "whole")
    before, behind = records.framed(payloads[0]), records.framed(payloads[2])
    middle = records.framed(payloads[1])
    for case, damaged in mutations(payloads[1], 200, 11):
        if len(damaged) != len(payloads[1]) or damaged == payloads[1]:
            continue
        path.write_bytes(before + middle[:12] + damaged + middle[-4:] + behind)
        found = outcomes(path, seen, case)
        assert found == {part: good[part] for part in ("record-000000", "record-000002")}, case
    assert seen["bad_crc"] > 100


@pytest.mark.parametrize("described", [True, False], ids=["features.json", "inferred"])
def test_damaged_messages_with_right_checksums(
    records: ModuleType, mutations: Mutations, tmp_path: Path, described: bool
) -> None:
    """What protobuf, shapes and pictures make of any bytes: the checksum is made anew."""
    said = records.features({"packed": records.tensor("uint16", 2, encoding="zlib")}) if described else None
    more = {"steps__observation__packed": [zlib.compress(b"\1\0\2\0")] * 3} if described else {}
    payload = records.example(records.episode(1, 3, last=1, **more))
    other = records.example(records.episode(2, 3, **{key: list(value) for key, value in more.items()}))
    seen: Counter[str] = Counter()
    path = records.write(tmp_path, [payload, other], said)
    good = outcomes(path, seen, "whole")
    assert len(good) == 2
    for case, damaged in mutations(payload, 700, 13):
        records.write(tmp_path, [damaged, other])
        found = outcomes(path, seen, case)
        if described:
            assert found["record-000001"] == good["record-000001"], case
    assert {"good", "bad_message", "bad_image"} <= set(seen)


def test_absurd_lengths_in_messages(records: ModuleType, tmp_path: Path) -> None:
    """Each length of the outer fields in turn says 0 to 2^64 - 1 bytes."""
    payload = records.example(records.episode(1, 2))
    seen: Counter[str] = Counter()
    absurd = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**60, 2**63, 2**64 - 1)
    for place in [n for n in range(len(payload)) if payload[n] in (0x0A, 0x12, 0x1A)][:40]:
        for length in absurd:
            damaged = payload[: place + 1] + records.varint(length) + payload[place + 2 :]
            path = records.write(tmp_path, [damaged], records.features())
            outcomes(path, seen, f"{place}={length}")
    assert seen["bad_message"] > 100


def test_damaged_features_json(records: ModuleType, mutations: Mutations, tmp_path: Path) -> None:
    said = json.dumps(records.features()).encode()
    path = records.write(tmp_path, [records.episode(1, 3)])
    seen: Counter[str] = Counter()
    for case, damaged in mutations(said, 500, 17):
        (tmp_path / "features.json").write_bytes(damaged)
        outcomes(path, seen, case)
    assert {"good", "bad_features", "missing_stream"} <= set(seen)
