"""One row of a table of episodes, by what a person has at hand."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import DatasetError

_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
# Ids that are named where more than one is meant.
_ENOUGH = 3


def row_of(table: pa.Table, episode: str, *, where: str) -> int:
    """`episode`: its number, its source_uri, its id or how that begins.

    Raises `DatasetError` where there is none, or more than one.
    """
    # An id can begin with digits alone, so a number is one only where there is one.
    if _NUMBER.fullmatch(episode):
        found = np.flatnonzero(table["episode_index"].to_numpy() == int(episode))
        if len(found):
            return int(found[0])
    is_meant = pc.or_(pc.starts_with(table["episode_id"], pattern=episode), pc.equal(table["source_uri"], episode))
    found = np.flatnonzero(pc.fill_null(is_meant, False).to_numpy()) if episode else np.zeros(0, int)
    if len(found) > 1:
        ids = ", ".join(table["episode_id"][row].as_py()[:12] for row in found[:_ENOUGH].tolist())
        raise DatasetError(f"{episode!r} means more than one episode: {ids}", where=where, hint="Write more of the id")
    if not len(found):
        hint = "Give its number, its id, how that begins, or its source_uri"
        raise DatasetError(f"no episode {episode!r}", where=where, hint=hint)
    return int(found[0])
