"""`gripline dataset ...`: what is done to a dataset, or asked of it, as a whole."""

from __future__ import annotations

import typer

from flows.commands import edit, statistics

app = typer.Typer(help="Edit, measure and verify a dataset.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    edit.add_to(app)
    statistics.add_to(app)
    parent.add_typer(app, name="dataset")
