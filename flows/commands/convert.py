"""convert."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Directory, Json


class Format(StrEnum):
    HDF5 = "hdf5"
    RLDS = "rlds"
    MCAP = "mcap"


class Pictures(StrEnum):
    PNG = "png"
    JPEG = "jpeg"


def add_to(app: typer.Typer) -> None:
    app.command("convert")(convert)


def convert(
    dataset: Annotated[Path, typer.Argument(help="Dataset, or a manifest of several.")],
    to: Annotated[Format, typer.Option("--to", help="Format of the files.")],
    out: Directory,
    episodes: Annotated[
        list[str] | None, typer.Option("--episode", help="Only this episode, by its id or how that begins; repeatable.")
    ] = None,
    pictures: Annotated[
        Pictures, typer.Option("--pictures", help="For rlds and mcap: png keeps every pixel, jpeg is smaller.")
    ] = Pictures.PNG,
    per_file: Annotated[int, typer.Option("--per-file", min=1, help="Episodes of a file of hdf5 or rlds.")] = 100,
    json: Json = False,
) -> None:
    """Write a dataset as robomimic HDF5, RLDS TFRecords or ROS 2 MCAP; to ingest these gives the same episode ids."""
    from components.convert.convert import convert as convert_parts
    from components.convert.options import Options
    from components.dataset.parts import parts_of
    from flows.output import emit, results_only

    with results_only() as stdout:
        options = Options(pictures=pictures.value, per_file=per_file)
        done = convert_parts(parts_of(dataset), out, to.value, episodes=episodes or (), options=options)
        text = f"{done.episodes} episodes, {done.frames} frames in {done.files} files of {done.format}, "
        text += f"{done.bytes / 1e6:.1f} MB in {out} (pictures: {done.pictures})\n"
        text += "".join(f"left out: {what}\n" for what in done.left_out)
        emit(stdout, done.as_dict(), as_json=json, text=text)
