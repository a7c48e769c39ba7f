"""Where info.json says one thing and the files another. The files rule; each difference is told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.core.errors import FormatError
from components.formats.lerobot.catalog import Catalog, Entry
from components.formats.lerobot.columns import Numbers, is_bookkeeping, is_nested, is_numeric, read_columns
from components.formats.lerobot.info import Feature, Info, number
from components.formats.lerobot.tables import Rows, all_rows, opened, rows_of_episode
from components.formats.lerobot.video import Header, codec_name, read_header
from components.formats.source import Problem

# Tables whose rows are counted, so that opening a tree stays cheap.
_COUNTED_TABLES = 64
_RATE_TOLERANCE = 0.02
_SAMPLED_ROWS = 512


@dataclass(frozen=True)
class Sample:
    """The first rows of an episode: types of all columns, and those that are numbers."""

    schema: Mapping[str, pa.DataType]
    columns: Mapping[str, Numbers]

    @property
    def widths(self) -> dict[str, int]:
        return {name: values.shape[1] if values.ndim == 2 else 1 for name, values in self.columns.items()}


def take_samples(root: Path, info: Info, catalog: Catalog, *, where: str) -> list[Sample]:
    """Of the first, a middle and the last table, so that a damaged one does not speak for the others.

    Those that cannot be read are left out; reading their episodes says why.
    """
    tables = {catalog.entries[index].data: index for index in reversed(catalog.readable)}
    episodes = sorted(tables.values())
    samples = []
    for index in dict.fromkeys((episodes[0], episodes[len(episodes) // 2], episodes[-1])):
        entry = catalog.entries[index]
        try:
            samples.append(_sample(root, info, entry, f"{where}/{entry.data}"))
        except FormatError:
            continue
    return samples


def _sample(root: Path, info: Info, entry: Entry, where: str) -> Sample:
    with opened(root / entry.data, where=where) as file:
        schema = {field.name: field.type for field in file.schema_arrow}
    rows = rows_of(root, info, entry, where=where)
    few = Rows(
        rows.path, tuple((group, start, min(stop, start + _SAMPLED_ROWS)) for group, start, stop in rows.spans[:1])
    )
    columns: dict[str, Numbers] = {}
    for name, type_ in schema.items():
        if is_numeric(type_):
            try:
                columns |= read_columns(few, [name], where=where)
            except FormatError:
                continue
    return Sample(schema, columns)


def rows_of(root: Path, info: Info, entry: Entry, *, where: str) -> Rows:
    """The rows of an episode; in versions 2 a table is one episode."""
    path = root / entry.data
    return rows_of_episode(path, entry.index, where=where) if info.is_v3 else all_rows(path, where=where)


def find_disagreements(
    root: Path, info: Info, catalog: Catalog, samples: Sequence[Sample], *, where: str
) -> list[Problem]:
    """One `Problem` for each field of info.json that the tree contradicts, one for all that is missing of a kind."""
    place = f"{where}/meta/info.json"
    problems = [Problem(code, place, detail) for code, detail in _totals(root, info, catalog, where)]
    problems += _absent(info, catalog, where)
    told = {(code, key): detail for sample in reversed(samples) for code, key, detail in _columns(info, sample)}
    there = {key for sample in samples for key in sample.schema}
    for (code, key), detail in sorted(told.items()):
        if code != "missing_column" or key not in there:
            problems.append(Problem(code, place, detail))
    for key in info.video_keys:
        header = _first_header(root, catalog, key, where)
        if header is not None:
            differences = _videos(info.features[key], header, info.fps)
            problems += [Problem(code, place, f"{key}: {detail}") for code, detail in differences]
    return problems


def _totals(root: Path, info: Info, catalog: Catalog, where: str) -> Iterator[tuple[str, str]]:
    listed = len(catalog.entries) + catalog.deleted
    if info.total_episodes is not None and info.total_episodes != listed:
        yield "total_episodes", f"total_episodes is {info.total_episodes}, the tree lists {listed}"
    lengths = [entry.length for entry in catalog.entries.values()]
    frames = sum(length for length in lengths if length is not None)
    if info.total_frames is not None and None not in lengths and info.total_frames != frames:
        yield "total_frames", f"total_frames is {info.total_frames}, the episodes add up to {frames}"
    tables = sorted({entry.data for entry in catalog.entries.values() if entry.data})
    if len(tables) > _COUNTED_TABLES:
        return
    promised = {table: [e.length for e in catalog.entries.values() if e.data == table] for table in tables}
    for table in tables:
        try:
            with opened(root / table, where=f"{where}/{table}") as file:
                rows = file.metadata.num_rows
        except FormatError:
            continue
        if None not in promised[table] and rows != sum(length or 0 for length in promised[table]):
            yield "rows", f"{table} has {rows} rows, its episodes add up to {sum(n or 0 for n in promised[table])}"


def _absent(info: Info, catalog: Catalog, where: str) -> Iterator[Problem]:
    missing = [index for index, entry in sorted(catalog.entries.items()) if not entry.data]
    if missing:
        detail = f"{len(missing)} of {len(catalog.entries)} episodes have no table, first episode {missing[0]}"
        yield Problem("missing_episodes", where, detail)
    for key in info.video_keys:
        lacking = [index for index in catalog.readable if not catalog.entries[index].cameras[key].found]
        if lacking:
            path = catalog.entries[lacking[0]].cameras[key].path or "no path"
            detail = (
                f"camera {key!r} is left out of {len(lacking)} of {len(catalog.readable)} episodes: {path} is missing"
            )
            yield Problem("missing_video", where, detail)
        if info.features[key].is_depth:
            yield Problem("unsupported_stream", where, f"{key!r} is a depth video, which holds no millimetres")


def _columns(info: Info, sample: Sample) -> Iterator[tuple[str, str, str]]:
    """(code, feature, detail)."""
    for key, feature in info.features.items():
        if feature.dtype == "video":
            continue
        if key not in sample.schema:
            yield "missing_column", key, f"feature {key!r} has no column in the tables"
            continue
        if not feature.is_picture and not is_bookkeeping(key) and is_nested(sample.schema[key]):
            yield (
                "unsupported_stream",
                key,
                f"feature {key!r} is {sample.schema[key]}: a list of vectors a row",
            )
        found, values = sample.widths.get(key), sample.columns.get(key)
        expected = int(np.prod(feature.shape, dtype=np.float64)) if feature.shape else 1
        if found is not None and found != expected:
            yield (
                "shape",
                key,
                f"feature {key!r} has shape {list(feature.shape)}, the tables hold {found} numbers a row",
            )
        if values is not None and values.dtype.kind in "fiu" and feature.dtype != str(values.dtype):
            yield "dtype", key, f"feature {key!r} is {feature.dtype}, the tables hold {values.dtype}"
    stamps = sample.columns.get("timestamp")
    if stamps is not None and len(stamps) > 2:
        step = float(np.median(np.diff(stamps.reshape(len(stamps), -1)[:, 0].astype(np.float64))))
        if step > 0 and abs(1 / step / info.fps - 1) > _RATE_TOLERANCE:
            yield "fps", "timestamp", f"fps is {info.fps:g}, the timestamps advance at {1 / step:.2f} Hz"


def _first_header(root: Path, catalog: Catalog, key: str, where: str) -> Header | None:
    for index in catalog.readable:
        camera = catalog.entries[index].cameras[key]
        if camera.found:
            try:
                return read_header(root / camera.path, where=f"{where}/{camera.path}")
            except FormatError:
                return None
    return None


def _videos(feature: Feature, header: Header, fps: float) -> Iterator[tuple[str, str]]:
    codec = feature.video.get("video.codec", feature.video.get("codec"))
    if isinstance(codec, str) and codec_name(codec) != header.codec:
        yield "codec", f"codec is {codec}, the mp4 holds {header.codec}"
    told = number(feature.video.get("video.fps", feature.video.get("fps"))) or fps
    if header.fps > 0 and abs(told / header.fps - 1) > _RATE_TOLERANCE:
        yield "fps", f"fps is {told:g}, the mp4 runs at {header.fps:g}"
    if not {header.height, header.width} <= set(feature.shape):
        yield "shape", f"shape is {list(feature.shape)}, the mp4 is {header.width} x {header.height}"
