"""trace, impact, lineage rebuild."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import Json

if TYPE_CHECKING:
    from model_registry.lineage.query import Answer

_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    app.command("trace")(trace)
    app.command("impact")(impact)
    group = typer.Typer(help="The lineage graph.", no_args_is_help=True)
    group.command("rebuild")(rebuild)
    app.add_typer(group, name="lineage")


def trace(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="An action (EPISODE:STEP), version, bundle, robot or episode.")
    ],
    json: Json = False,
) -> None:
    """Show everything that led to it, up to training episodes, source files and collectors."""
    from components.core.workspace import find_workspace
    from flows.output import emit, results_only
    from model_registry.lineage import query

    with results_only() as stdout:
        answer = query.trace(find_workspace(), name)
        emit(stdout, answer.as_dict(), as_json=json, text=_text(answer, "behind"))


def impact(
    name: Annotated[str, typer.Argument(metavar="ID", help="An episode, source file, collector or dataset.")],
    json: Json = False,
) -> None:
    """Show everything that came of it, down to model versions and robots."""
    from components.core.workspace import find_workspace
    from flows.output import emit, results_only
    from model_registry.lineage import query

    with results_only() as stdout:
        answer = query.impact(find_workspace(), name)
        emit(stdout, answer.as_dict(), as_json=json, text=_text(answer, "came of"))


def rebuild() -> None:
    """Make the lineage graph anew from records and journals."""
    from components.core.workspace import find_workspace
    from model_registry.lineage.build import rebuild as rebuild_graph

    rebuild_graph(find_workspace())


def _text(answer: Answer, word: str) -> str:
    kinds: dict[str, list[str]] = {}
    for node in answer.graph.nodes:
        if node.id != answer.subject:
            kinds.setdefault(node.kind, []).append(node.label)
    lines = [f"{word} {answer.subject}:"]
    for kind, labels in kinds.items():
        more = f" ... and {len(labels) - _SHOWN} more (--json lists all)" if len(labels) > _SHOWN else ""
        lines.append(f"  {len(labels):5d} {kind}: {', '.join(labels[:_SHOWN])}{more}")
    return "\n".join(lines)
