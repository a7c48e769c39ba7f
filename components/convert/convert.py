"""Chosen episodes of datasets as files of another format, in one folder that is whole or absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from components.convert.options import Options, Writer
from components.convert.plan import grouped
from components.core.errors import UsageError
from components.core.files import fsync, replace_dir
from components.dataset.edits.choose import chosen_parts
from components.dataset.outside import require_place
from components.dataset.parts import Part

FORMATS = ("hdf5", "rlds", "mcap")
# What no recording has room for; it describes the tree, and who ingests the files again measures it anew.
LEFT_OUT = (
    "meta/gripline/streams: clocks of the sensors before they were aligned",
    "meta/stats.json and the statistics of each episode",
    "meta/gripline/sources.parquet: what became of every source",
)


@dataclass(frozen=True)
class Conversion:
    """`bytes`: of all files; `pictures`: how they are kept; `left_out`: what of the dataset is in none of them."""

    format: str
    out: str
    episodes: int
    frames: int
    files: int
    bytes: int
    pictures: str
    left_out: tuple[str, ...] = LEFT_OUT

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def convert(
    parts: Sequence[Part], out: Path, to: str, *, episodes: Sequence[str] = (), options: Options | None = None
) -> Conversion:
    """Writes `parts`, or of them the `episodes` named by id or how that begins, as `to`; reads one episode at a time.

    Every episode carries its id, so that `gripline ingest` of the files gives the same ones. Raises `UsageError` where
    `out` holds something, and `DatasetError` for what is not there or what the format cannot hold; then nothing is
    written.
    """
    options = options or Options()
    writer = _writer(to, options)
    _require_free(out)
    if episodes:
        parts = chosen_parts(parts, list(episodes), where=", ".join(str(part.dataset.root) for part in parts))
    groups = grouped(parts, writer.NAMES)
    total = sum(len(group.items) for group in groups)
    frames = 0
    with replace_dir(out) as folder, tqdm(total=total, unit="episode", desc="convert", disable=None) as progress:

        def done(length: int) -> None:
            nonlocal frames
            frames += length
            progress.update()

        files = []
        for group in groups:
            target = folder if len(groups) == 1 else folder / group.name
            target.mkdir(exist_ok=True)
            files += writer.write(target, group, options, done)
        size = sum(file.stat().st_size for file in files)
        for path in [*files, *{file.parent for file in files}]:
            fsync(path)
    pictures = "raw, without loss" if to == "hdf5" else "png, without loss" if options.pictures == "png" else "jpeg"
    return Conversion(to, str(out), total, frames, len(files), size, pictures)


def _writer(to: str, options: Options) -> Writer:
    if to not in FORMATS:
        raise UsageError(f"format {to!r}, expected one of {', '.join(FORMATS)}")
    if to == "hdf5" and options.pictures == "jpeg":
        raise UsageError("hdf5 in robomimic's layout holds raw pictures", hint="Leave out --pictures")
    if options.per_file < 1:
        raise UsageError(f"{options.per_file} episodes a file, expected at least 1")
    return cast(Writer, import_module(f"components.convert.{to}_files"))


def _require_free(out: Path) -> None:
    require_place(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("is there already", where=str(out), hint="Choose another folder with --out, or remove it")
