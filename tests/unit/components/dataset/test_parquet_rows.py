from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import DatasetError
from components.dataset.parquet_rows import OpenParquet, ParquetRows, as_numpy
from components.dataset.tables import RollingTable, TableFile

SCHEMA = pa.schema([("a", pa.int64()), ("a.b", pa.int64())])


def table(first: int, count: int) -> pa.Table:
    values = np.arange(first, first + count)
    return pa.table([values, -values], schema=SCHEMA)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 rows in groups of 7, 1, 12 and 10."""
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for first, count in ((0, 7), (7, 1), (8, 12), (20, 10)):
            writer.write_table(table(first, count))
    return path


@given(first=st.integers(0, 32), count=st.integers(0, 34))
def test_any_rows_are_those_of_the_file(grouped: Path, first: int, count: int) -> None:
    found = ParquetRows().read(grouped, first, count)
    assert found["a"].to_pylist() == list(range(30))[first : first + count]


@given(first=st.integers(0, 29), count=st.integers(1, 30))
def test_no_row_group_is_read_in_vain(grouped: Path, first: int, count: int) -> None:
    starts, ends = [0, 7, 8, 20], [7, 8, 20, 30]
    needed = [group for group in range(4) if starts[group] < first + count and ends[group] > first]
    assert list(OpenParquet(grouped).groups_of(first, count)) == needed


def test_only_the_columns_asked_for_come_back(grouped: Path) -> None:
    # To Parquet "a.b" is a part of "a".
    assert ParquetRows().read(grouped, 3, 2, ["a"]).to_pydict() == {"a": [3, 4]}
    assert ParquetRows().read(grouped, 3, 1, ["a.b", "a"]).to_pydict() == {"a.b": [-3], "a": [3]}
    with pytest.raises(DatasetError, match=r"a.parquet: lacks the columns c, d. Restore it or run ingest again"):
        ParquetRows().read(grouped, 0, 1, ["d", "a", "c"])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    for name in ("bad.parquet", "none.parquet"):
        with pytest.raises(DatasetError, match=rf"{name}: unreadable: .* Restore it or run ingest again"):
            ParquetRows().read(tmp_path / name, 0, 1)


def test_many_threads_read_from_few_open_files(tmp_path: Path) -> None:
    for number in range(6):
        pq.write_table(table(1000 * number, 500), tmp_path / f"{number}.parquet", row_group_size=50)
    rows = ParquetRows(limit=2)

    def read(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        number, first = int(rng.integers(6)), int(rng.integers(450))
        found = rows.read(tmp_path / f"{number}.parquet", first, 50)["a"].to_numpy()
        return bool((found == np.arange(50) + 1000 * number + first).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))
    assert len(rows._files) == 2


def test_an_open_file_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(0, 10), path)
    rows = ParquetRows()
    assert rows.read(path, 0, 1)["a"].to_pylist() == [0]
    pq.write_table(table(100, 10), tmp_path / "other")
    (tmp_path / "other").replace(path)
    assert rows.read(path, 5, 1)["a"].to_pylist() == [5]


def test_short_tables_share_a_row_group(tmp_path: Path) -> None:
    file = TableFile(tmp_path / "a.parquet", SCHEMA)
    for first in range(0, 3000, 300):
        file.write(table(first, 300))
    file.close()
    with pq.ParquetFile(tmp_path / "a.parquet") as written:
        groups = [written.metadata.row_group(group).num_rows for group in range(written.num_row_groups)]
        assert groups == [1200, 1200, 600]
        assert written.read()["a"].to_pylist() == list(range(3000))


@given(counts=st.lists(st.integers(1, 700), min_size=1, max_size=30), limit=st.integers(1, 30_000))
def test_rows_lie_where_the_table_said(tmp_path_factory: pytest.TempPathFactory, counts: list[int], limit: int) -> None:
    root = tmp_path_factory.mktemp("rolling")
    rolling = RollingTable(root, "{chunk_index}-{file_index}", SCHEMA, limit)
    places, first = [], 0
    for count in counts:
        places.append(rolling.write(table(first, count)))
        first += count
    rolling.close()
    rows, first = ParquetRows(), 0
    for (at, row), count in zip(places, counts, strict=True):
        found = rows.read(root / "{chunk_index}-{file_index}".format(**at), row, count)
        assert found["a"].to_pylist() == list(range(first, first + count))
        first += count
    assert len(list(root.iterdir())) == rolling.next


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.list_(pa.float32(), 3)])
def test_a_column_becomes_the_array_that_pyarrow_makes_of_it(kind: pa.DataType) -> None:
    flat = np.arange(12) if not pa.types.is_fixed_size_list(kind) else np.arange(12).reshape(4, 3)
    column = pa.chunked_array([pa.array(flat[:2].tolist(), kind), pa.array(flat[2:].tolist(), kind)]).slice(1)
    found = as_numpy(column)
    np.testing.assert_array_equal(found, flat[1:].ravel())
    assert found.dtype == (np.float32 if pa.types.is_fixed_size_list(kind) else kind.to_pandas_dtype())
    assert not found.flags.writeable


def test_missing_numbers_are_no_numbers() -> None:
    np.testing.assert_array_equal(as_numpy(pa.chunked_array([[1.0, None]])), [1.0, np.nan])
    assert as_numpy(pa.chunked_array([pa.array([], pa.int64())])).tolist() == []
