"""Path templates of info.json ("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"): never out of the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.core.errors import FormatError

_NUMBERS = ("episode_chunk", "chunk_index", "episode_index", "file_index")
_FIELD = re.compile(r"\{(" + "|".join((*_NUMBERS, "video_key")) + r")(?::0?(\d{1,2})d)?\}")
_MAX_CHARACTERS = 500


@dataclass(frozen=True)
class Template:
    """A path with fields. Only `parse` makes one; `str.format` never sees it, for it would follow attributes."""

    text: str
    where: str

    def path(self, numbers: Mapping[str, int], *, video_key: str = "") -> str:
        """POSIX path below the root. Raises `FormatError` (bad_info) where a camera's name would lead out of it."""

        def fill(field: re.Match[str]) -> str:
            name, width = field.group(1), field.group(2)
            return video_key if name == "video_key" else f"{numbers[name]:0{int(width or 0)}d}"

        path = _FIELD.sub(fill, self.text)
        if not stays_inside(path):
            raise FormatError(f"path {path[:100]!r} leads out of the tree", where=self.where, code="bad_info")
        return path


def parse(text: str, fields: tuple[str, ...], name: str, *, where: str) -> Template:
    """Raises `FormatError` (bad_info) for unknown fields, other formats than a width, and ways out of the tree."""
    rest = _FIELD.sub("x", text)
    unknown = {found for found, _ in _FIELD.findall(text)} - set(fields)
    if len(text) > _MAX_CHARACTERS or "{" in rest or "}" in rest or unknown or not stays_inside(rest):
        raise FormatError(
            f"{name!r} is {text[:100]!r}",
            where=where,
            hint=f"Expected is a path below the folder with {', '.join('{' + field + '}' for field in fields)}",
            code="bad_info",
        )
    return Template(text, where)


def stays_inside(path: str) -> bool:
    """Whether a POSIX path names something below the folder it is joined to."""
    if not path or "\0" in path or "\\" in path or len(path) > _MAX_CHARACTERS:
        return False
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and bool(parts.parts)
