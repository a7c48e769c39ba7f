"""What was selected, in short: sums, counts by what people ask first, and the first episodes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core.errors import UsageError
from components.dataset.episode_table import COLUMNS, episodes_of, query, read_verdicts
from components.dataset.parts import Part
from components.view.facts import SUMS, group

COUNTED = ("task", "embodiment", "split", "verdict")
SHOWN = ("dataset", "episode_index", "episode_id", "task", "robot_id", "site", "length", "split")


def selection(
    parts: Sequence[Part], *, columns: Sequence[str] = SHOWN, limit: int = 10, verdicts: Path | None = None
) -> dict[str, Any]:
    """`total` episodes, frames and hours, `counts` by `COUNTED`, and the first `limit` episodes as `rows`.

    Rows come by part and episode_index. Raises `UsageError` for a column that there is not.
    """
    for name in columns:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            meant = f"Did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"no column {name!r}", where="--columns", hint=f"{meant}There are {', '.join(COLUMNS)}")
    judged = read_verdicts(verdicts) if verdicts is not None else None
    counted = [name for name in COUNTED if name != "verdict" or judged is not None]
    wanted = dict.fromkeys((*counted, *columns, "episode_index", "length", "duration_s"))
    with episodes_of(parts, list(wanted), judged) as connection:
        connection.execute("CREATE VIEW counted AS SELECT * FROM episodes")
        names = ", ".join(columns)
        return {
            "total": query(connection, f"SELECT {SUMS} FROM counted")[0],
            "counts": {name: group(connection, name) for name in counted},
            "rows": query(connection, f"SELECT {names} FROM episodes ORDER BY part, episode_index LIMIT {limit}"),
        }
