"""Which code built a dataset, remembered outside of it.

The digest of the code must not be part of a finished tree: a change that alters no episode would make every later
stage run again. It is part of one under way, which has to be continued by the code that began it.
"""

from __future__ import annotations

from pathlib import Path

from components.core.files import sha256_file, write_text
from components.dataset.layout import OWN_RECORD


def remember(cache: Path, root: Path, code: str) -> None:
    """Notes that `code` made the dataset in `root` what it is."""
    write_text(_stamp(cache, root), code)


def built_by(cache: Path, root: Path) -> str | None:
    """Digest of the code that built the dataset in `root`; None where nobody here remembers."""
    stamp = _stamp(cache, root)
    return stamp.read_text() if stamp.is_file() else None


def _stamp(cache: Path, root: Path) -> Path:
    return cache / "built" / sha256_file(root / OWN_RECORD)
