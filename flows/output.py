"""What commands print: one JSON object on stdout with --json, otherwise text for people; all else goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def results_only() -> Iterator[TextIO]:
    """Gives the real stdout for results and sends everything else that prints to stderr.

    Stage commands, DVC and servers inherit the file descriptor, so it is replaced and not only `sys.stdout`.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    stream = os.fdopen(kept, "w")
    try:
        yield stream
    finally:
        sys.stdout.flush()
        stream.flush()
        os.dup2(kept, 1)
        stream.close()


def emit(stream: TextIO, value: dict[str, Any], *, as_json: bool, text: str = "") -> None:
    """Writes one result: the JSON object, or its text."""
    stream.write(json.dumps(value, indent=2, default=str) + "\n" if as_json else text.rstrip("\n") + "\n")
    stream.flush()


def table(columns: list[str], rows: list[list[str]], *, title: str = "") -> str:
    """A plain-text table, drawn by rich without colours so that it can be piped."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        drawn.add_row(*row)
    console = Console(width=120, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()
