"""What a card says, counted by DuckDB over the table of episodes; no frame is read and no loop goes over episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from components.dataset.episode_table import episodes_of, query
from components.dataset.parts import Part
from components.view.coverage import coverage
from components.view.doubles import doubles

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What episodes are counted by, in the order of the card.
GROUPS = (
    "task",
    "robot_id",
    "site",
    "scene",
    "collector_id",
    "embodiment",
    "split",
    "outcome",
    "source_format",
    "licence",
    "verdict",
)
# Rows of one table of the card; the others are counted together.
MOST_ROWS = 30
_COLUMNS = ("consent_ref", "recorded_at", "length", "duration_s")
# The date that the time of a recording begins with.
_DAY = "regexp_extract(recorded_at, '^[0-9]{4}-[0-9]{2}-[0-9]{2}')"
_QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
_BINS = 40
# Decimals add up to the same sum in any order.
SUMS = "count(*) AS episodes, sum(length)::BIGINT AS frames, (sum(duration_s::DECIMAL(18, 6)) / 3600)::DOUBLE AS hours"


def facts(parts: Sequence[Part], verdicts: pa.Table | None = None) -> dict[str, Any]:
    """Everything that a card says, as plain JSON; the same episodes and verdicts give the same facts.

    `groups`: column of `GROUPS` -> rows of value, episodes, frames and hours, the most frequent first. Verdicts are
    counted where there are some.
    """
    judged = verdicts is not None
    groups = [name for name in GROUPS if judged or name != "verdict"]
    with episodes_of(parts, [*groups, *_COLUMNS, *(["codes"] if judged else [])], verdicts) as connection:
        connection.execute(f"CREATE TABLE counted AS SELECT *, {_DAY} AS day FROM episodes")
        return {
            "datasets": [_dataset(part) for part in parts],
            "total": query(connection, f"SELECT {SUMS} FROM counted")[0],
            "groups": {name: group(connection, name) for name in groups},
            "codes": _codes(connection) if judged else [],
            "missing": _missing(connection),
            "durations": _durations(connection),
            "coverage": coverage(connection),
            "doubles": doubles(parts),
        }


def group(connection: DuckDBPyConnection, column: str) -> dict[str, Any]:
    """{"values": how many, "rows": the first `MOST_ROWS`, "others": what the rest sums up to, or None}."""
    value = f"coalesce({column}, '')"
    ordered = f"SELECT {value} AS value, {SUMS} FROM counted GROUP BY {value} ORDER BY episodes DESC, value"
    rows = query(connection, f"{ordered} LIMIT {MOST_ROWS}")
    (values,) = connection.execute(f"SELECT count(DISTINCT {value}) FROM counted").fetchone() or (0,)
    others = None
    if values > len(rows):
        shown = ", ".join("?" for _ in rows)
        others = query(
            connection, f"SELECT {SUMS} FROM counted WHERE {value} NOT IN ({shown})", [row["value"] for row in rows]
        )[0]
    return {"values": values, "rows": rows, "others": others}


def _codes(connection: DuckDBPyConnection) -> list[dict[str, Any]]:
    """Codes of the checks, and how many episodes carry each."""
    codes = "SELECT unnest(codes) AS code FROM counted"
    return query(
        connection, f"SELECT code, count(*) AS episodes FROM ({codes}) GROUP BY code ORDER BY episodes DESC, code"
    )


def _missing(connection: DuckDBPyConnection) -> dict[str, int]:
    """Provenance column -> episodes that leave it empty."""
    names = ("licence", "consent_ref", "recorded_at", "robot_id", "site", "collector_id")
    sums = ", ".join(f"count(*) FILTER (WHERE {name} = '') AS {name}" for name in names)
    return {name: int(value) for name, value in query(connection, f"SELECT {sums} FROM counted")[0].items()}


def _durations(connection: DuckDBPyConnection) -> dict[str, Any]:
    """Quantiles of the durations that occur, in s, and a histogram of equally wide bins between the least and most."""
    (quantiles,) = connection.execute(
        f"SELECT quantile_disc(duration_s, {list(_QUANTILES)}) FROM counted"
    ).fetchone() or ([],)
    low, high = float(quantiles[0]), float(quantiles[-1])
    width = (high - low) / _BINS or 1.0
    rows = connection.execute(
        f"SELECT least(floor((duration_s - {low!r}) / {width!r}), {_BINS - 1})::INTEGER AS bin, count(*)"
        " FROM counted GROUP BY bin ORDER BY bin"
    ).fetchall()
    counts = dict(rows)
    bins = [{"from_s": low + at * width, "episodes": counts.get(at, 0)} for at in range(max(counts) + 1)]
    named = {f"q{100 * share:g}": float(value) for share, value in zip(_QUANTILES, quantiles, strict=True)}
    return {"quantiles_s": named, "bin_s": width, "bins": bins}


def _dataset(part: Part) -> dict[str, Any]:
    dataset = part.dataset
    embodiment = dataset.embodiment
    return {
        "name": part.name,
        "digest": dataset.digest,
        "episodes": len(part),
        "of": len(dataset),
        "embodiment": embodiment.name,
        "embodiment_digest": embodiment.digest,
        "fps": dataset.fps,
        "action_rate_hz": embodiment.action.rate_hz,
        "cameras": list(embodiment.observation.cameras),
        "depth_cameras": list(embodiment.observation.depth),
        "image_px": embodiment.observation.image_px,
        "state": len(embodiment.observation.state_names),
        "action": embodiment.action.dim,
        "video": dict(dataset.record.attrs.get("video", {})),
        "inputs": dict(dataset.record.inputs),
        "params": dict(dataset.record.params),
    }
