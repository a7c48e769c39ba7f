"""`gripline models`: which policies can be built, what each of them is, and checkpoints of other trainers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.commands import foreign_models
from flows.commands.options import Json

app = typer.Typer(help="The catalogue of policies, and checkpoints of other trainers.", no_args_is_help=False)


def add_to(parent: typer.Typer) -> None:
    foreign_models.add_to(app)
    parent.add_typer(app, name="models")


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/models/README.md.")] = False,
) -> None:
    """List the architectures, their sizes and where they come from; `show` says everything of one."""
    if context.invoked_subcommand is not None:
        return
    from flows.output import emit, results_only

    with results_only() as stdout:
        from components.policy.catalogue.facts import families
        from components.policy.catalogue.page import page

        found = families()
        text = page(found) if markdown else _overview(found)
        emit(stdout, {"families": found}, as_json=json, text=text)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="PRESET", help="As in train.preset.")], json: Json = False
) -> None:
    """Show everything of one preset: sizes, what it reads, how it acts, which parts take weights."""
    from flows.output import emit, results_only

    with results_only() as stdout:
        from components.policy.catalogue.facts import card_of, facts_of

        found = facts_of(name)
        card = card_of(name)
        found |= {key: getattr(card, key) for key in ("title", "source", "vision", "trunk", "head", "rate", "page")}
        emit(stdout, found, as_json=json, text=_one(found))


def _overview(families: list[dict[str, Any]]) -> str:
    from components.policy.catalogue.page import millions, reads
    from flows.output import table

    heads = ["preset", "parameters", "reads", "vision", "trunk", "head", "rate", "source"]
    rows = [
        [
            "\n".join(preset["preset"] for preset in one["presets"]),
            "\n".join(millions(preset["parameters"]) for preset in one["presets"]),
            reads(one["presets"][0]["needs"]),
            *(one[key] for key in ("vision", "trunk", "head", "rate", "source")),
        ]
        for one in families
    ]
    return table(heads, rows)


def _one(found: dict[str, Any]) -> str:
    from components.policy.catalogue.page import millions, reads

    said, body, needs = found["published"], found["counted_for"], found["needs"]
    flow = f", flow convention {found['flow_convention']}" if found["flow_convention"] else ""
    rows = {
        found["preset"]: f"{found['title']}, {found['source']}",
        "parameters": f"{found['parameters']:,}" + (f"; {said['parameters']:,} by {said['source']}" if said else ""),
        "counted for": ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in body.items()),
        "by part": ", ".join(f"{part} {millions(count)}" for part, count in found["by_part"].items()),
        "vision": found["vision"],
        "trunk": found["trunk"],
        "head": f"{found['head']} ({found['kind']}{flow})",
        "reads": f"{reads(needs)}; at least {needs['cameras']} of {needs['image_px']} px",
        "control rate": found["rate"],
        "learning rate": f"{found['learning_rate']:g}" if found["learning_rate"] else "that of params.yaml",
        "takes weights": ", ".join(f"{part} ({kind})" for part, kind in found["takes_weights"].items()) or "none",
        "page": f"docs/models/{found['page']}",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
