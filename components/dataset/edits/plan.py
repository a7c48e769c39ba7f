"""Which files of a tree hold some episodes, and where what else they hold will lie without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset import layout
from components.dataset.index_schema import ABSENT, depth_prefix, index_schema, place_columns, video_prefix
from components.dataset.reader import Dataset

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FileEdit:
    """A file that loses episodes. `kept`: rows of the index of those that stay in it, in their order.

    What stays of a table keeps its number: rows say whose they are, and other readers of the format take the files in
    the order of their names. What stays of a video gets one that no file ever had, so that somebody who goes by older
    metadata finds no file there rather than frames of another episode. `successor`: that number, None where nothing
    stays.
    """

    prefix: str
    template: str
    number: int
    kept: Rows
    successor: int | None

    @property
    def old_name(self) -> str:
        return self.template.format(**layout.place(self.number))

    @property
    def new_name(self) -> str | None:
        return None if self.successor is None else self.template.format(**layout.place(self.successor))


class Places:
    """The table of episodes as arrays that can be changed; `doomed`: bool [N], the rows that go."""

    def __init__(self, dataset: Dataset, doomed: npt.NDArray[np.bool_]) -> None:
        self.dataset = dataset
        self.doomed = doomed
        self.schema = index_schema(dataset.features, dataset.embodiment.observation.depth)
        self.prefixes = place_columns(dataset.features, dataset.embodiment.observation.depth)
        names = [f"{prefix}/{name}" for prefix, names in self.prefixes.items() for name in names]
        self.columns = {name: dataset.index.numbers(name).copy() for name in names}

    def files(self, prefix: str) -> Rows:
        """Number of the file of each row."""
        chunks = self.columns[f"{prefix}/chunk_index"].astype(np.int64)
        return chunks * layout.CHUNKS_SIZE + self.columns[f"{prefix}/file_index"]

    def spans(self, prefix: str) -> tuple[Rows, Rows]:
        """First row or frame of each episode in its file, and how many there are; 0 where it has none."""
        if prefix == "streams":
            return self.columns["streams/row"], self.columns["streams/count"].astype(np.int64)
        first = self.columns[f"{prefix}/{self._first(prefix)}"]
        return first, np.where(first == ABSENT, 0, self.dataset.lengths)

    def move(self, edit: FileEdit) -> None:
        """Gives the episodes that stay their places in the successor."""
        if edit.successor is None:
            return
        _, counts = self.spans(edit.prefix)
        for name, value in layout.place(edit.successor).items():
            self.columns[f"{edit.prefix}/{name}"][edit.kept] = value
        ends = counts[edit.kept].cumsum()
        self.columns[f"{edit.prefix}/{self._first(edit.prefix)}"][edit.kept] = ends - counts[edit.kept]

    def table(self) -> pa.Table:
        """The index without the rows that go."""
        names = [name for name in self.schema.names if name not in self.columns]
        table = self.dataset.table(names)
        arrays = [
            pa.array(self.columns[name], self.schema.field(name).type) if name in self.columns else table[name]
            for name in self.schema.names
        ]
        return pa.table(arrays, schema=self.schema).filter(pa.array(~self.doomed))

    def _first(self, prefix: str) -> str:
        return "row" if "row" in self.prefixes[prefix] else "first_frame"


def file_edits(places: Places) -> Iterator[FileEdit]:
    """Every file of frames or streams that holds an episode that goes."""
    for prefix, template in frame_templates(places.dataset).items():
        files, (_, counts) = places.files(prefix), places.spans(prefix)
        there, free = counts > 0, places.dataset.next_file(template)
        for file in np.unique(files[places.doomed & there]).tolist():
            kept = np.flatnonzero((files == file) & there & ~places.doomed)
            if not len(kept):
                yield FileEdit(prefix, template, file, kept, None)
            elif template.endswith(".parquet"):
                yield FileEdit(prefix, template, file, kept, file)
            else:
                yield FileEdit(prefix, template, file, kept, free)
                free += 1


def frame_templates(dataset: Dataset) -> dict[str, str]:
    """Prefix of the place columns -> template of the files, but for meta/episodes."""
    templates = {"data": layout.DATA_PATH, "streams": layout.STREAMS_PATH}
    templates |= {video_prefix(key): layout.video_path(key) for key in layout.video_keys(dataset.features)}
    return templates | {
        depth_prefix(camera): layout.depth_path(camera) for camera in dataset.embodiment.observation.depth
    }
