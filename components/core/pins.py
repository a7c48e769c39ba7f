"""Is it what params.yaml pins?"""

from __future__ import annotations

from components.core.errors import GriplineError
from components.core.train_params import Pinned


def require_pinned(
    found: str, pinned: Pinned, *, setting: str, error: type[GriplineError], where: str, hint: str
) -> None:
    """Raises `error` where `found`, the digest of what lies there, is not that of `pinned`, the value of `setting`."""
    if found != pinned.sha256:
        raise error(f"its digest is {found}, {setting} says {pinned.sha256}", where=where, hint=hint)
