from __future__ import annotations

import struct
from pathlib import Path
from types import ModuleType

import pytest

from components.core.errors import FormatError
from components.formats.rlds import tfrecord
from components.formats.rlds.tfrecord import Span, framed, framing, length_of, masked_crc, payload


def test_the_masked_checksum_is_that_of_tensorflow() -> None:
    # CRC-32C of "123456789" is e3069283 (RFC 3720); rotated right by 15 bits, plus a282ead8.
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_are_found_and_read(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [b"one", b"", b"three"])
    found = framing(path, where="a")
    assert found.end is None
    assert found.spans == (Span(12, 3), Span(31, 0), Span(47, 5))
    assert [payload(path, span, where="a") for span in found.spans] == [b"one", b"", b"three"]


@pytest.mark.parametrize("data", [b"", b"one", b"x" * 5000])
def test_records_are_framed_as_they_are_read(records: ModuleType, data: bytes) -> None:
    assert b"".join(framed(data)) == records.framed(data)


def test_a_file_that_changed_is_looked_at_again(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [b"one"])
    assert len(framing(path, where="a").spans) == 1
    records.write(tmp_path, [b"one", b"two"])
    assert len(framing(path, where="a").spans) == 2


@pytest.mark.parametrize(
    ("keep", "said"), [(19 + 5, "5 bytes of a record's head"), (19 + 13, "3 bytes are said to follow, 0 do")]
)
def test_a_cut_file_keeps_the_records_before(records: ModuleType, tmp_path: Path, keep: int, said: str) -> None:
    path = records.write(tmp_path, [b"one", b"two"])
    path.write_bytes(path.read_bytes()[:keep])
    found = framing(path, where="a")
    assert (found.spans, found.end and found.end.code) == ((Span(12, 3),), "truncated")
    assert found.end is not None
    assert found.end.where == "a#record-000001"
    assert said in found.end.detail


def test_a_length_whose_checksum_is_wrong_ends_the_file(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [b"one", b"two", b"three"])
    data = bytearray(path.read_bytes())
    data[19] ^= 1
    path.write_bytes(data)
    found = framing(path, where="a")
    assert (len(found.spans), found.end and found.end.code) == (1, "bad_length")


@pytest.mark.parametrize("length", [2**31, 2**60, 2**63, 2**64 - 1])
def test_absurd_lengths_take_no_memory(tmp_path: Path, length: int) -> None:
    head = struct.pack("<Q", length)
    (tmp_path / "a").write_bytes(head + struct.pack("<I", masked_crc(head)) + b"short")
    assert length_of((tmp_path / "a").read_bytes()) == length
    found = framing(tmp_path / "a", where="a")
    assert (found.spans, found.end and found.end.code) == ((), "truncated")


def test_a_payload_whose_checksum_is_wrong_is_refused(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [b"one", b"two"])
    data = bytearray(path.read_bytes())
    data[13] ^= 1
    path.write_bytes(data)
    first, second = framing(path, where="a").spans
    with pytest.raises(FormatError, match="checksum of the record at byte 12 is wrong") as caught:
        payload(path, first, where="a#record-000000")
    assert (caught.value.code, caught.value.where) == ("bad_crc", "a#record-000000")
    assert payload(path, second, where="a") == b"two"


def test_a_record_larger_than_a_message_is_refused_before_it_is_read(
    records: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = records.write(tmp_path, [b"0123456789"])
    monkeypatch.setattr(tfrecord, "MAX_RECORD_BYTES", 9)
    with pytest.raises(FormatError, match="a record of 10 bytes, at most 9") as caught:
        payload(path, Span(12, 10), where="a")
    assert caught.value.code == "too_large"


def test_a_file_that_became_shorter_is_truncated(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [b"one"])
    with pytest.raises(FormatError, match="became shorter") as caught:
        payload(path, Span(12, 300), where="a")
    assert caught.value.code == "truncated"


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="FileNotFoundError") as caught:
        framing(tmp_path / "gone", where="a")
    assert caught.value.code == "unreadable"
