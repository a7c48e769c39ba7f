"""The files of a tree that are being written: opened when first needed, closed all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.dataset.remux import RollingVideo
from components.dataset.tables import RollingTable


class OpenFiles:
    """Rolling tables and videos below `root` by their templates (`layout`); `numbers`: where each goes on, else 0."""

    def __init__(self, root: Path, fps: int, numbers: Mapping[str, int], *, table_bytes: int, video_bytes: int) -> None:
        self._root = root
        self._fps = fps
        self._numbers = numbers
        self._limits = table_bytes, video_bytes
        self._tables: dict[str, RollingTable] = {}
        self._videos: dict[str, RollingVideo] = {}

    def table(self, template: str, schema: pa.Schema, **options: Any) -> RollingTable:
        """`options`: of `TableFile`, where the table is not open yet."""
        if template not in self._tables:
            first = self._numbers.get(template, 0)
            self._tables[template] = RollingTable(self._root, template, schema, self._limits[0], first, **options)
        return self._tables[template]

    def video(self, template: str) -> RollingVideo:
        if template not in self._videos:
            first = self._numbers.get(template, 0)
            self._videos[template] = RollingVideo(self._root, template, self._fps, self._limits[1], first)
        return self._videos[template]

    def close(self) -> dict[str, int]:
        """Completes the files; returns the number of the next one of each kind."""
        files: dict[str, RollingTable | RollingVideo] = {**self._tables, **self._videos}
        for file in files.values():
            file.close()
        return {template: file.next for template, file in files.items()}
