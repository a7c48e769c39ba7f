"""One open cell for the tests of this folder: making a renderer takes about a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.sim.cell import Cell


@pytest.fixture(scope="session")
def drawer() -> Iterator[Cell]:
    with Cell("drawer-open") as cell:
        yield cell
