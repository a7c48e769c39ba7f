"""Cut lists: which spans of which recordings are episodes, to be edited by people. CSV for spreadsheets, and JSON.

CSV has the columns of `cut_rows.COLUMNS`. The version stands in a column of its own and may be left empty, since
spreadsheets know no comments. JSON has the same columns: {"format": "gripline cuts", "version": 1, "cuts": [{...}]}.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from components.core.errors import UsageError
from components.core.files import digest_json, write_json, write_text
from components.formats.cut_rows import COLUMNS, VERSION, SourceCut, parse_row, row_of
from components.formats.spans import Cut

_FORMAT = "gripline cuts"
# A spreadsheet writes what its language separates numbers by.
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class CutList:
    """`entries`: sorted by source, part and time, whatever the order of the rows was."""

    entries: tuple[SourceCut, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=_order)))

    @property
    def digest(self) -> str:
        """Over all that decides what becomes of the recordings: every column but the note."""
        return digest_json([{**row_of(entry), "note": ""} for entry in self.entries])

    def of(self, path: Path, uri: str) -> tuple[Cut, ...]:
        """Cuts of the source `uri` at `path`: rows that name it so, or by its file name alone."""
        return tuple(entry.cut for entry in self.entries if entry.source in (uri, path.name))

    def require_sources(self, sources: Iterable[tuple[Path, str]]) -> None:
        """Raises `UsageError` where a row names a source that is none of these (path, uri)."""
        there = {name for path, uri in sources for name in (uri, path.name)}
        missing = sorted({entry.source for entry in self.entries} - there)
        if missing:
            raise UsageError(
                f"the cut list names {', '.join(missing[:3])}, which is not there",
                hint=f"There are {', '.join(sorted(there)[:6]) or 'no sources'}",
            )


def cuts_digest(cuts: Sequence[Cut]) -> str:
    """Of one source's cuts, for who must know whether they changed."""
    return CutList(tuple(SourceCut("", cut) for cut in cuts)).digest


def _order(entry: SourceCut) -> tuple[str, str, int, int]:
    return entry.source, entry.cut.part, entry.cut.start_ns, entry.cut.end_ns


def read_cut_list(path: Path) -> CutList:
    """A list in CSV or JSON. Raises `UsageError` naming file, line and column of what cannot be used."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read as text ({error})", where=path.name, hint="Save it as UTF-8") from error
    placed = _from_json(text, path.name) if path.suffix.lower() == ".json" else _from_csv(text, path.name)
    require_apart(placed)
    return CutList(tuple(entry for _, entry in placed))


def _from_csv(text: str, name: str) -> list[tuple[str, SourceCut]]:
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda one: (header.count(one), one == ","))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    placed: list[tuple[str, SourceCut]] = []
    try:
        columns = [column.strip() for column in next(rows, [])]
        if not {"start_s", "end_s"} <= set(columns) or len(set(columns)) != len(columns):
            raise UsageError(
                f"its columns are {', '.join(columns) or 'none'}",
                where=f"{name}: line 1",
                hint=f"Expected {', '.join(COLUMNS)}",
            )
        for row in rows:
            where = f"{name}: line {rows.line_num}"
            if not any(row):
                continue
            if len(row) > len(columns):
                raise UsageError(f"{len(row)} fields, but {len(columns)} columns", where=where)
            placed.append((where, parse_row(dict(zip(columns, row, strict=False)), where)))
    except csv.Error as error:
        raise UsageError(f"is no CSV ({error})", where=f"{name}: line {rows.line_num}") from error
    return placed


def _from_json(text: str, name: str) -> list[tuple[str, SourceCut]]:
    try:
        # As text, so that no time goes through a float.
        raw = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is no JSON ({error})", where=name) from error
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT or not isinstance(raw.get("cuts"), list):
        raise UsageError(
            "is no cut list",
            where=name,
            hint=f'Expected {{"format": "{_FORMAT}", "version": {VERSION}, "cuts": [...]}}',
        )
    if str(raw.get("version")) != VERSION:
        raise UsageError(f"version is {raw.get('version')!r}, expected {VERSION}", where=name)
    placed = []
    for number, row in enumerate(raw["cuts"]):
        where = f"{name}: cuts[{number}]"
        if not isinstance(row, dict):
            raise UsageError(f"is {type(row).__name__}, expected an object", where=where)
        placed.append((where, parse_row(row, where)))
    return placed


def require_apart(placed: Sequence[tuple[str, SourceCut]]) -> None:
    """Raises `UsageError` where two cuts that are kept overlap in one part of one source."""
    kept = sorted(((*_order(entry), where) for where, entry in placed if entry.cut.keep), key=lambda one: one[:4])
    for before, after in pairwise(kept):
        if before[:2] == after[:2] and after[2] < before[3]:
            raise UsageError(
                f"start_s is {after[2] / 1e9:g}, but the cut of {before[4]} goes on to {before[3] / 1e9:g}",
                where=after[4],
                hint="Kept cuts do not overlap; let one of them end earlier, or say `no` in its column `keep`",
            )


def write_cut_list(path: Path, cuts: CutList) -> None:
    """As CSV, or as JSON where `path` ends so; read back, it is the same list. Raises `UsageError` for unsound cuts."""
    rows = [row_of(entry) for entry in cuts.entries]
    require_apart([(f"{path.name}: row {n}", parse_row(row, f"{path.name}: row {n}")) for n, row in enumerate(rows, 1)])
    if path.suffix.lower() == ".json":
        plain = [_as_json(entry) for entry in cuts.entries]
        write_json(path, {"format": _FORMAT, "version": int(VERSION), "cuts": plain})
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _as_json(entry: SourceCut) -> dict[str, Any]:
    row: dict[str, Any] = row_of(entry)
    del row["version"]
    return {**row, "start_s": float(row["start_s"]), "end_s": float(row["end_s"]), "keep": entry.cut.keep}
