from __future__ import annotations

from collections.abc import Callable, Iterator

import mutate
import pytest


@pytest.fixture(scope="session")
def mutations() -> Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]:
    """`mutations(data, count, seed)` of tests/support/mutate.py."""
    return mutate.mutations
