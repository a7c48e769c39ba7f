"""Which code built a dataset, remembered outside of it.

The digest of the code must not be part of a finished tree: a change that alters no episode would make every later
stage run again. It is part of one under way, which has to be continued by the code that began it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.files import sha256_file, write_text
from components.dataset.commit import resolve
from components.dataset.layout import OWN_RECORD
from components.dataset.lock import writing

# Below the state of a workspace: what ingest remembers from one run to the next.
CACHE = "cache/ingest"


def remember(cache: Path, root: Path, code: str) -> None:
    """Notes that `code` made the dataset in `root` what it is."""
    write_text(_stamp(cache, root), code)


def built_by(cache: Path, root: Path) -> str | None:
    """Digest of the code that built the dataset in `root`; None where nobody here remembers."""
    stamp = _stamp(cache, root)
    return stamp.read_text() if stamp.is_file() else None


@contextmanager
def carried(cache: Path | None, root: Path) -> Iterator[None]:
    """Around an edit of the dataset in `root`: whichever code built it before is said to have built it afterwards.

    Without it the next ingest would find a record that it does not know, and build everything anew. Nothing is
    remembered where nothing was, or where the edit raises. Raises `Busy` where another process writes to the dataset.
    """
    with writing(root):
        code = built_by(cache, root) if cache is not None and resolve(root, OWN_RECORD).is_file() else None
        yield
        if cache is not None and code is not None:
            remember(cache, root, code)


def _stamp(cache: Path, root: Path) -> Path:
    return cache / "built" / sha256_file(resolve(root, OWN_RECORD))
