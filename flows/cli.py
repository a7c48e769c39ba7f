"""`gripline`: one command line over the stages, the registry, the servers and the flows."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from components.core.stage import configure_logging, exit_code_of
from flows.commands import convert, data, dataset, explore, lineage, models, policy, release, run, track


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gripline {version('gripline')}")
        raise typer.Exit


app = typer.Typer(
    name="gripline",
    help="From robot demonstrations to a policy on the fleet, and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for module in (run, data, dataset, explore, convert, models, policy, track, release, lineage):
    module.add_to(app)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 a gate said no, 2 usage, 3 bad input, 4 a component is missing."""
    configure_logging()
    try:
        app()
    except Exception as error:
        sys.exit(exit_code_of(error))
