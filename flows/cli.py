"""`gripline`: one command line over the stages, the registry, the servers and the flows."""

from __future__ import annotations

import sys

import typer

from components.core.stage import configure_logging, exit_code_of
from flows.commands import convert, data, dataset, explore, lineage, policy, release, run

app = typer.Typer(
    name="gripline",
    help="From robot demonstrations to a policy on the fleet, and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (run, data, dataset, explore, convert, policy, release, lineage):
    module.add_to(app)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 a gate said no, 2 usage, 3 bad input, 4 a component is missing."""
    configure_logging()
    try:
        app()
    except Exception as error:
        sys.exit(exit_code_of(error))
