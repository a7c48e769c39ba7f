from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import EpisodeError, FormatError
from components.formats.lerobot import columns
from components.formats.lerobot.columns import InlinePictures, is_numeric, read_columns
from components.formats.lerobot.tables import Rows, all_rows, batches, opened, row_batches, rows_of_episode

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(values: Any, **options: Any) -> Path:
        pq.write_table(pa.table(values), tmp_path / "table.parquet", **options)
        return tmp_path / "table.parquet"

    return write


def column(path: Path, name: str = "x") -> Any:
    return read_columns(all_rows(path, where="t"), [name], where="t")[name]


@pytest.mark.parametrize(
    "type_",
    [pa.list_(pa.float32(), 2), pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.int16(), 2)],
)
def test_lists_of_every_kind_are_rows_of_numbers(write: Write, type_: pa.DataType) -> None:
    found = column(write({"x": pa.array([[1, 2], [3, 4], [5, 6]], type_)}, row_group_size=2))
    np.testing.assert_array_equal(found, [[1, 2], [3, 4], [5, 6]])
    assert found.dtype == type_.value_type.to_pandas_dtype()
    assert is_numeric(type_)


def test_one_number_a_row(write: Write) -> None:
    assert column(write({"x": pa.array([1.5, 2.5], pa.float64())})).tolist() == [1.5, 2.5]
    assert column(write({"x": [True, False]})).tolist() == [True, False]
    assert column(write({"x": ["a", "b"]})).tolist() == ["a", "b"]


def test_a_slice_of_fixed_size_lists_keeps_its_rows(write: Write) -> None:
    # `values` of a sliced list array would give those of the whole.
    path = write({"x": pa.array([[k, -k] for k in range(10)], pa.list_(pa.float32(), 2))}, row_group_size=5)
    found = read_columns(Rows(path, ((0, 2, 4), (1, 1, 3))), ["x"], where="t")["x"]
    assert found[:, 0].tolist() == [2, 3, 6, 7]


def test_nothing_within_a_vector_is_nan(write: Write) -> None:
    found = column(write({"x": pa.array([[1.0, None], [3.0, 4.0]], pa.list_(pa.float64(), 2))}))
    assert np.isnan(found[0, 1])
    assert found[1].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        (pa.array([[1.0], [1.0, 2.0]]), "wrong_shape", "'x' changes its width"),
        (pa.array([[], []], pa.list_(pa.float32())), "wrong_shape", "'x' has lists of 0"),
        (pa.array([[[1.0]], [[2.0]]]), "wrong_shape", "expected one list of numbers a row"),
        (pa.array([["a"], ["b"]]), "wrong_type", "'x' holds string"),
        (pa.array([{"a": 1}, {"a": 2}]), "wrong_type", "'x' holds struct"),
        (pa.array([0, 1], pa.timestamp("ns")), "wrong_type", "'x' holds timestamp"),
        (pa.array([None, 1.0]), "missing_value", "'x' lacks 1 values"),
        (pa.array([None, [1.0]]), "missing_value", "'x' lacks 1 values"),
    ],
)
def test_what_is_no_row_of_numbers(write: Write, values: pa.Array, code: str, message: str) -> None:
    with pytest.raises(EpisodeError, match=message) as caught:
        column(write({"x": values}))
    assert (caught.value.code, caught.value.where) == (code, "t")


def test_a_width_that_changes_between_row_groups(write: Write) -> None:
    path = write({"x": pa.array([[1.0], [1.0, 2.0]])}, row_group_size=1)
    with pytest.raises(EpisodeError, match="changes its width"):
        column(path)


def test_an_absurd_number_of_values_is_not_kept(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MAX_VALUES", 5)
    with pytest.raises(EpisodeError, match="more than 5 numbers") as caught:
        column(write({"x": list(range(10))}))
    assert caught.value.code == "too_large"


def test_columns_that_are_not_there_are_left_out(write: Write) -> None:
    path = write({"x": [1], "x.y": [2]})
    assert list(read_columns(all_rows(path, where="t"), ["x", "z"], where="t")) == ["x"]
    with pytest.raises(FormatError, match="none of the columns z") as caught:
        read_columns(all_rows(path, where="t"), ["z"], where="t")
    assert caught.value.code == "missing_column"


def test_episodes_are_found_by_their_index(write: Write) -> None:
    episodes = [3, 3, 3, 0, 0, 3, 7]
    path = write({"episode_index": episodes, "x": list(range(7))}, row_group_size=2)
    spans = {3: ((0, 0, 2), (1, 0, 1), (2, 1, 2)), 0: ((1, 1, 2), (2, 0, 1)), 7: ((3, 0, 1),), 9: ()}
    for episode, expected in spans.items():
        rows = rows_of_episode(path, episode, where="t")
        assert rows.spans == expected
        assert len(rows) == episodes.count(episode)
    assert read_columns(rows_of_episode(path, 3, where="t"), ["x"], where="t")["x"].tolist() == [0, 1, 2, 5]


@pytest.mark.parametrize("values", [["a"], [1.0], [None]])
def test_an_episode_index_that_is_none(write: Write, values: list[Any]) -> None:
    with pytest.raises(FormatError, match="'episode_index' is") as caught:
        rows_of_episode(write({"episode_index": values}), 0, where="t")
    assert caught.value.code == "bad_table"


def test_rows_come_in_batches_whatever_the_size_of_a_row_group(write: Write) -> None:
    path = write({"x": np.zeros(50_000)})
    with opened(path, where="t") as file:
        assert max(batch.num_rows for batch in batches(file, [0], ["x"])) <= 4096


def test_memory_does_not_grow_with_a_row_group(write: Write) -> None:
    path = write({"x": random_numbers(1_000_000)})
    assert path.stat().st_size > 7_000_000
    before, most = pa.total_allocated_bytes(), 0
    for _ in row_batches(Rows(path, ((0, 0, 1_000_000),)), ["x"], where="t"):
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < 4_000_000


def random_numbers(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=count)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "missing_file"),
        (b"", "empty"),
        (b"PAR1", "bad_table"),
        (b"PAR1xxx", "truncated"),
        (b"SQLite format 3", "bad_table"),
        (b"PAR1\xff\xff\xff\x7fPAR1", "bad_table"),
        (b"version https://git-lfs.github.com", "lfs_pointer"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, data: bytes | None, code: str) -> None:
    path = tmp_path / "table.parquet"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(FormatError) as caught, opened(path, where="t"):  # noqa: PT011
        pass
    assert (caught.value.code, caught.value.where) == (code, "t")


def test_pictures_within_a_table(trees: ModuleType, write: Write) -> None:
    pictures = [b"picture %d" % k for k in range(40)]
    nested = pa.array([{"bytes": one, "path": "x"} for one in pictures])
    for values in (nested, pa.array(pictures)):
        path = write({"camera": values}, row_group_size=25)
        frames = InlinePictures(all_rows(path, where="t"), "camera", where="t")
        assert list(frames) == pictures
        assert [frames[k] for k in (39, 0, 0, 20, 3, -1)] == [pictures[k] for k in (39, 0, 0, 20, 3, -1)]
        assert frames[2:4] == pictures[2:4]
        with pytest.raises(IndexError):
            frames[40]


def test_pictures_that_lie_elsewhere(write: Write) -> None:
    path = write(
        {
            "camera": pa.array(
                [{"bytes": None, "path": "frame_000000.png"}], pa.struct({"bytes": pa.binary(), "path": pa.string()})
            )
        }
    )
    frames = InlinePictures(all_rows(path, where="t"), "camera", where="t")
    with pytest.raises(EpisodeError, match="pictures that are not in the file") as caught:
        frames[0]
    assert caught.value.code == "missing_image"
