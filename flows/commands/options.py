"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Directory = Annotated[Path, typer.Option("--out", help="Folder to write; it must not exist yet.")]
