from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.triton.repository import MAX_BATCH
from deploy.warmup import _rows


@given(examples=st.integers(1, 70), requests=st.integers(0, 40))
def test_every_example_is_asked_in_a_batch_and_as_many_alone_as_wanted(examples: int, requests: int) -> None:
    asked = list(_rows(examples, requests))
    alone = asked[-max(requests, 1) :]
    batches = asked[: -max(requests, 1)]
    assert [row for rows in batches for row in rows] == list(range(examples))
    assert all(1 <= len(rows) <= MAX_BATCH for rows in batches)
    assert all(len(rows) == 1 and rows[0] < examples for rows in alone)
