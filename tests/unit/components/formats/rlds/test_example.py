from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.core.errors import FormatError
from components.formats.rlds.example import example_bytes, parse_example


def test_the_three_kinds_of_lists_come_back(records: ModuleType) -> None:
    payload = records.example(
        {"words": [b"a", b"", b"\xff"], "floats": np.float32([0.5, np.nan, -1e30]), "ints": np.array([0, -1, 2**62])}
    )
    found = parse_example(payload, where="a")
    assert list(found) == ["floats", "ints", "words"]
    assert found["words"] == [b"a", b"", b"\xff"]
    np.testing.assert_array_equal(found["floats"], np.float32([0.5, np.nan, -1e30]))
    np.testing.assert_array_equal(found["ints"], [0, -1, 2**62])


def test_a_feature_without_a_kind_is_empty(records: ModuleType) -> None:
    payload = records.field(1, records.field(1, records.field(1, b"none") + records.field(2, b"")))
    assert parse_example(payload, where="a") == {"none": []}


def test_numbers_that_are_not_packed_are_read_too(records: ModuleType) -> None:
    unpacked = records.field(3, b"".join(records.varint(1 << 3) + records.varint(n) for n in (7, 300)))
    payload = records.field(1, records.field(1, records.field(1, b"n") + records.field(2, unpacked)))
    np.testing.assert_array_equal(parse_example(payload, where="a")["n"], [7, 300])


@pytest.mark.parametrize("length", [2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1])
def test_absurd_lengths_are_bad_messages(records: ModuleType, length: int) -> None:
    with pytest.raises(FormatError, match="DecodeError") as caught:
        parse_example(b"\x0a" + records.varint(length) + b"short", where="a#record-000001")
    assert (caught.value.code, caught.value.where) == ("bad_message", "a#record-000001")


def test_no_text_as_a_name_is_a_bad_message(records: ModuleType) -> None:
    payload = records.field(1, records.field(1, records.field(1, b"\xff\xfe") + records.field(2, b"")))
    with pytest.raises(FormatError, match="cannot be read") as caught:
        parse_example(payload, where="a")
    assert caught.value.code == "bad_message"


LISTS = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=5),
    arrays.arrays(np.float32, st.integers(1, 9), elements=st.floats(width=32, allow_nan=False)),
    arrays.arrays(np.int64, st.integers(1, 9)),
)


@given(values=st.dictionaries(st.text(min_size=1, max_size=12), LISTS, min_size=1, max_size=6))
def test_what_is_written_is_what_protobuf_says(records: ModuleType, values: dict[str, Any]) -> None:
    # The helpers write the wire format by hand. The order of features is protobuf's own, always the same one.
    assert all(example_bytes({name: value}) == records.example({name: value}) for name, value in values.items())
    assert len(example_bytes(values)) == len(records.example(values))
    assert example_bytes(values) == example_bytes(dict(reversed(values.items())))
    found = parse_example(example_bytes(values), where="a")
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
