"""Where something that is made of a dataset may be written: never into a tree, which holds what it was sealed over."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import UsageError
from components.dataset import layout
from components.dataset.commit import resolve


def require_place(out: Path) -> None:
    """Raises `UsageError` where the folder `out` is a file, lies below one, or in a dataset."""
    for folder in (out, *out.absolute().parents):
        if folder.is_symlink() and not folder.exists():
            raise UsageError("a link that leads nowhere", where=str(folder), hint="Name another folder with --out")
        if folder.exists() and not folder.is_dir():
            raise UsageError("is a file, a folder is needed", where=str(folder), hint="Name another folder with --out")
    here = out.resolve()
    for folder in (here, *here.parents):
        if resolve(folder, layout.INFO).is_file():
            raise UsageError(
                f"lies in the dataset {folder}, which would no longer be what was written",
                where=str(out),
                hint="Name a folder outside of it with --out",
            )
