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
    parts: Sequence[Part], *, columns: Sequence[str] = SHOWN, limit: int | None = 10, verdicts: Path | None = None
) -> dict[str, Any]:
    """`total` episodes, frames and hours, `counts` by `COUNTED`, and the first `limit` episodes as `rows`.

    `limit` None: all of them; `shown`: how many they are. Rows come by part and episode_index. Raises `UsageError` for
    a column that there is not.
    """
    require_columns(columns)
    judged = read_verdicts(verdicts) if verdicts is not None else None
    counted = [name for name in COUNTED if name != "verdict" or judged is not None]
    wanted = dict.fromkeys((*counted, *columns, "episode_index", "length", "duration_s"))
    with episodes_of(parts, list(wanted), judged) as connection:
        connection.execute("CREATE VIEW counted AS SELECT * FROM episodes")
        ordered = f"SELECT {', '.join(columns)} FROM episodes ORDER BY part, episode_index"
        rows = query(connection, ordered if limit is None else f"{ordered} LIMIT {limit}")
        return {
            "total": query(connection, f"SELECT {SUMS} FROM counted")[0],
            "shown": len(rows),
            "counts": {name: group(connection, name) for name in counted},
            "rows": rows,
        }


def no_selection() -> dict[str, Any]:
    """What `selection` says of no episode."""
    return {"total": {"episodes": 0, "frames": 0, "hours": 0.0}, "shown": 0, "counts": {}, "rows": []}


def require_columns(columns: Sequence[str]) -> None:
    """Raises `UsageError` for a column that there is not."""
    for name in columns:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            meant = f"Did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"no column {name!r}", where="--columns", hint=f"{meant}There are {', '.join(COLUMNS)}")
