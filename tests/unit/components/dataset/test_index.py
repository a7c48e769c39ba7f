from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.core.errors import DatasetError
from components.dataset import index as index_module
from components.dataset.close import write_index
from components.dataset.index import EpisodeIndex
from components.dataset.index_schema import EPISODE_COLUMNS, GROUP_ROWS, index_schema
from components.dataset.layout import OWN_EPISODES

COUNT = 2 * GROUP_ROWS + 100


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of even numbers alone, over three row groups."""
    folder = tmp_path_factory.mktemp("index")
    schema = index_schema({}, ())
    numbers = np.arange(COUNT)
    columns: dict[str, Any] = {
        name: [f"{name}-{number}" for number in numbers] if pa.types.is_string(kind) else numbers.astype(str(kind))
        for name, kind in zip(schema.names, schema.types, strict=True)
    }
    columns |= {"episode_index": 2 * numbers, "length": numbers % 7 + 1}
    write_index(folder / OWN_EPISODES, pa.table(columns, schema=schema))
    return folder


def test_rows_are_found_by_their_number(root: Path) -> None:
    index = EpisodeIndex(root)
    assert len(index) == COUNT
    assert [index.at(number) for number in (0, 2, 2 * COUNT - 2)] == [0, 1, COUNT - 1]
    for number in (-2, 1, 2 * COUNT):
        with pytest.raises(DatasetError, match=f"no episode {number}; there are {COUNT}"):
            index.at(number)
    assert index.rows([4, 0, 4]).tolist() == [2, 0, 2]
    assert index.rows([]).tolist() == []
    with pytest.raises(DatasetError, match=f"no episode 7; there are {COUNT}"):
        index.rows([4, 7, 0, 9])
    np.testing.assert_array_equal(index.lengths, np.arange(COUNT) % 7 + 1)


@pytest.mark.parametrize("row", [0, GROUP_ROWS - 1, GROUP_ROWS, 2 * GROUP_ROWS + 99])
def test_a_row_is_the_same_however_it_is_read(root: Path, row: int) -> None:
    apart, whole = EpisodeIndex(root), EpisodeIndex(root)
    table = whole.table(EPISODE_COLUMNS)
    expected = {name: table[name][row].as_py() for name in EPISODE_COLUMNS}
    assert apart.row(row, EPISODE_COLUMNS) == whole.row(row, EPISODE_COLUMNS) == expected
    assert expected["episode_id"] == f"episode_id-{row}"


def test_a_row_costs_one_row_group_and_a_column_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, read = EpisodeIndex(root), []
    for name in ("read", "read_all"):
        method = getattr(index._file, name)
        monkeypatch.setattr(index._file, name, lambda *args, m=method: read.append(m(*args)) or read[-1])
    for row in (5, 6, 5, GROUP_ROWS + 1):
        index.row(row, ["episode_id", "task"])
    assert [part.num_rows for part in read] == [GROUP_ROWS] * 2
    index.table(["task", "length"])
    index.table(["length", "task", "task"])
    index.row(7, ["task"])
    assert [part.column_names for part in read[2:]] == [["task", "length"]]


def test_pieces_do_not_pile_up(root: Path) -> None:
    index = EpisodeIndex(root)
    for number, name in enumerate(index.names):
        index.row(number % COUNT, [name])
    assert len(index._pieces) <= index_module._PIECES


def test_an_unknown_column_is_named(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"episodes.parquet: lacks the columns colour"):
        EpisodeIndex(root).table(["task", "colour"])


def test_threads_see_the_same(root: Path) -> None:
    index = EpisodeIndex(root)

    def ask(row: int) -> bool:
        name = ("task", "site", "episode_id")[row % 3]
        one = index.row(row, [name])[name]
        return bool(one == f"{name}-{row}" == index.table([name])[name][row].as_py())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, np.random.default_rng(1).integers(0, COUNT, 200).tolist()))


def test_an_index_stays_what_it_was_when_it_was_opened(root: Path, tmp_path: Path) -> None:
    first = EpisodeIndex(root).table(index_schema({}, ()).names)
    write_index(tmp_path / OWN_EPISODES, first)
    index = EpisodeIndex(tmp_path)
    write_index(tmp_path / "other", first.slice(10))
    (tmp_path / "other").replace(tmp_path / OWN_EPISODES)
    assert index.row(0, ["task"]) == {"task": "task-0"}
    assert len(EpisodeIndex(tmp_path)) == COUNT - 10
