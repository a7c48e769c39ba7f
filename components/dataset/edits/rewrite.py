"""Files of a tree without some of their episodes: rows and packets are copied, nothing is encoded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.commit import resolve
from components.dataset.edits.plan import FileEdit, Places
from components.dataset.parquet_rows import ParquetRows
from components.dataset.remux import VideoFile, cut_episode, inspect_episode
from components.dataset.sketch_files import SKETCH_OPTIONS
from components.dataset.tables import TableFile


def write_successor(places: Places, edit: FileEdit, staged: Path) -> None:
    """What stays of a file, under its new name below `staged`. Raises `DatasetError` where the old one is damaged."""
    if edit.new_name is None:
        return
    source, target = resolve(places.dataset.root, edit.old_name), staged / edit.new_name
    if edit.new_name.endswith(".mp4"):
        _copy_packets(places, edit, source, target)
    else:
        _copy_rows(places, edit, source, target)


def _copy_rows(places: Places, edit: FileEdit, source: Path, target: Path) -> None:
    starts, counts = places.spans(edit.prefix)
    rows = ParquetRows()
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
    table = TableFile(target, schema)
    for row in edit.kept.tolist():
        table.write(rows.read(source, int(starts[row]), int(counts[row])))
    table.close()


def _copy_packets(places: Places, edit: FileEdit, source: Path, target: Path) -> None:
    fps = places.dataset.fps
    starts, counts = places.spans(edit.prefix)
    video = VideoFile(target, fps)
    for row in edit.kept.tolist():
        data = cut_episode(source, int(starts[row]), int(counts[row]), fps)
        video.append(inspect_episode(data, where=str(source)))
    video.close()


def write_sketches(source: Path, kept: npt.NDArray[np.bool_], target: Path) -> None:
    """The rows of a file of sketches that stay; `kept`: bool, one a row."""
    table, size = pq.read_table(source).filter(pa.array(kept)), SKETCH_OPTIONS["group_rows"]
    file = TableFile(target, table.schema, **SKETCH_OPTIONS)
    for first in range(0, table.num_rows, size):
        file.write(table.slice(first, size))
    file.close()
