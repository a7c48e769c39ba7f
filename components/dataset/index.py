"""meta/gripline/episodes.parquet, read column by column and row group by row group, when somebody asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.core.errors import DatasetError
from components.dataset.commit import located
from components.dataset.index_schema import GROUP_ROWS
from components.dataset.layout import OWN_EPISODES
from components.dataset.parquet_rows import OpenParquet, as_numpy

_AGAIN = "Restore the tree or run ingest again"
# Pieces of the table that stay in memory for looking at single episodes.
_PIECES = 8


class EpisodeIndex:
    """The table of episodes of one tree, as it was when it was opened: a commit puts another file in its place.

    Rows are ascending in `episode_index`, which is a label: deleted episodes leave gaps. Safe to use from several
    threads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / OWN_EPISODES
        self._file = _opened(root)
        self._lock = Lock()
        self._columns: dict[str, pa.ChunkedArray] = {}
        self._numbers: dict[str, npt.NDArray[Any]] = {}
        self._pieces: OrderedDict[tuple[int, tuple[str, ...]], pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return self._file.rows

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table."""
        return self._file.names

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Episode numbers [N], ascending."""
        return self.numbers("episode_index")

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Frames of each episode [N]."""
        return self.numbers("length")

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all rows; each is read once. Raises `DatasetError` naming those that are not there."""
        with self._lock:
            missing = [name for name in dict.fromkeys(columns) if name not in self._columns]
            if missing:
                found = self._read(missing)
                self._columns |= dict(zip(missing, found.columns, strict=True))
            # `pa.table` would import pandas to see whether it was given one of its tables.
            return pa.Table.from_arrays([self._columns[name] for name in columns], names=list(columns))

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of whole numbers [N], not to be written to. Raises `DatasetError` where it holds anything else."""
        if name not in self._numbers:
            self._numbers[name] = self._as_numbers(name)
        return self._numbers[name]

    def at(self, episode_index: int) -> int:
        """The row of an episode. Raises `DatasetError` where there is no such number."""
        return int(self.rows([episode_index])[0])

    def rows(self, episode_indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The rows [n] of some episodes, in the order given. Raises `DatasetError` naming one that is not there."""
        wanted = np.asarray(episode_indices, np.int64)
        rows = np.searchsorted(self.indices, wanted)
        missing = wanted[self.indices[np.minimum(rows, len(self) - 1)] != wanted]
        if len(missing):
            raise DatasetError(f"no episode {missing[0]}; there are {len(self)}", where=str(self.root))
        return rows

    def row(self, row: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some columns of one row; costs no more than one row group."""
        names = tuple(columns)
        with self._lock:
            if all(name in self._columns for name in names):
                return {name: self._columns[name][row].as_py() for name in names}
            first = row - row % GROUP_ROWS
            piece = self._pieces.pop((first, names), None)
            if piece is None:
                piece = self._read(names, first)
            self._pieces[first, names] = piece
            if len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        return {name: piece[name][row - first].as_py() for name in names}

    def _as_numbers(self, name: str) -> npt.NDArray[Any]:
        column = self.table([name])[name]
        if column.null_count or not pa.types.is_integer(column.type):
            found = f"{column.null_count} values missing" if column.null_count else str(column.type)
            raise DatasetError(f"{name}: {found}, expected whole numbers", where=str(self.path), hint=_AGAIN)
        return as_numpy(column)

    def _read(self, names: Sequence[str], first: int | None = None) -> pa.Table:
        try:
            return self._file.read_all(names) if first is None else self._file.read(first, GROUP_ROWS, names)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"unreadable: {error}", where=str(self.path), hint=_AGAIN) from error


def _opened(root: Path) -> OpenParquet:
    try:
        return located(root, OWN_EPISODES, OpenParquet)
    except FileNotFoundError as error:
        raise DatasetError(f"there is no {OWN_EPISODES}", where=str(root), hint=_AGAIN) from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"unreadable: {error}", where=str(root / OWN_EPISODES), hint=_AGAIN) from error
