"""`gripline models import|export|inspect`: checkpoints of other trainers, brought in and taken out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Directory, Json

if TYPE_CHECKING:
    from components.train.foreign import Imported

Foreign = Annotated[Path, typer.Argument(help="Folder of a checkpoint of LeRobot, openpi or OpenVLA.")]


class Framework(StrEnum):
    LEROBOT = "lerobot"
    OPENPI = "openpi"
    OPENVLA = "openvla"


def add_to(models: typer.Typer) -> None:
    models.command("import")(import_)
    models.command("export")(export)
    models.command("inspect")(inspect)


def import_(
    folder: Foreign,
    preset: Annotated[str, typer.Option("--preset", help="Ours that the weights go into.")],
    embodiment: Annotated[str, typer.Option("--embodiment", help="Robot that it was trained on, by name.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; bases/NAME in the workspace where none is given.")
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", help="Your data: its words are known from the start, its numbers are compared."),
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option("--statistics", help="What it was normalised by, where that lies elsewhere.")
    ] = None,
    member: Annotated[str, typer.Option("--member", help="Which dataset, where the statistics are of several.")] = "",
    json: Json = False,
) -> None:
    """Turn a checkpoint of LeRobot, openpi or OpenVLA into one that train.start_from takes; every tensor is told of."""
    from components.core.embodiment_files import embodiment as find_embodiment
    from components.core.errors import ContractError
    from components.train.foreign import Wanted, import_checkpoint, planned
    from flows.output import emit, results_only

    with results_only() as stdout:
        root = _root()
        body = find_embodiment(embodiment, root / "robots")
        target = out or root / "bases" / folder.resolve().name
        wanted = Wanted(folder, preset, body, target, statistics, member, dataset)
        made = planned(wanted)
        try:
            done = import_checkpoint(wanted, made)
        except ContractError:
            # What does not fit is told whole, as the error names only the first of it.
            if not made.report.fits:
                emit(stdout, {"imported": False, **made.as_dict()}, as_json=json, text=_refused(made.as_dict()))
            raise
        value = {"imported": True, "out": str(target), **done.value}
        emit(stdout, value, as_json=json, text=_imported(done, target, root))


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint, as training writes it.")],
    to: Annotated[Framework, typer.Option("--format", help="Whose layout.")],
    out: Directory,
    json: Json = False,
) -> None:
    """Write a checkpoint in the layout of LeRobot, openpi or OpenVLA; to import that gives the same policy."""
    from components.policy.foreign.exporting import export as write
    from flows.output import emit, results_only

    with results_only() as stdout:
        value = write(folder, to.value, out)
        text = f"{len(value['written'])} tensors of {value['layout']} in {out}\n"
        text += "".join(f"left out: {name}: {why}\n" for name, why in value["left_out"].items())
        text += "".join(f"not there: {name}: {why}\n" for name, why in value["absent"].items())
        emit(stdout, {"out": str(out), **value}, as_json=json, text=text)


def inspect(folder: Foreign, json: Json = False) -> None:
    """Say what a directory is recognised as, which presets it may fit, and how it is normalised."""
    from components.policy.foreign.catalogue import directory, recognise
    from components.policy.foreign.importing import described
    from flows.output import emit, results_only

    with results_only() as stdout:
        found = directory(folder)
        value = described(found, recognise(found))
        lines = [f"{name}: {', '.join(one) if isinstance(one, list) else one}" for name, one in value.items()]
        emit(stdout, value, as_json=json, text="\n".join(lines))


def _root() -> Path:
    """Of the workspace around the current folder; the folder itself outside of one."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace

    try:
        return find_workspace().root
    except UsageError:
        return Path.cwd()


def _imported(done: Imported, target: Path, root: Path) -> str:
    from flows.output import table

    value = done.value
    rows = [[name, str(len(value[name])), _some(list(value[name]))] for name in ("taken", "left_out", "fresh")]
    text = table(["tensors", "how many", "such as"], rows, title=f"{value['layout']} as {value['preset']}")
    text += f"normalised by statistics {value['statistics']}\n"
    text += "".join(f"note: {note}\n" for note in value["notes"])
    if done.comparison is not None:
        text += f"\nthe data and these statistics: {done.comparison.verdict}\n\n{done.comparison.markdown()}\n"
    path = target.resolve()
    shown = path.relative_to(root.resolve()) if path.is_relative_to(root.resolve()) else path
    return f"{text}every tensor is in {target}/import.md; to begin from it:\n\n" + (
        f"    train:\n      start_from: {{path: {shown}, sha256: {value['digest']}}}\n"
    )


def _refused(value: dict[str, Any]) -> str:
    from flows.output import table

    rows = [[kind, name] for kind in ("missing", "unknown") for name in value[kind]]
    rows += [[f"misshapen, {found}, expected {wanted}", name] for name, (wanted, found) in value["misshapen"].items()]
    return table(["wrong", "tensor"], rows)


def _some(names: list[str]) -> str:
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
