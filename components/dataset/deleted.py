"""Episodes that were deleted from a tree: their ids stay, so that nobody takes them in again by accident."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from components.core.errors import DatasetError
from components.dataset.commit import resolve
from components.dataset.layout import OWN

OWN_DELETED = f"{OWN}/deleted.jsonl"
# Of ingest: what it set aside, one JSON object a line; `source` names file or file#part.
OWN_QUARANTINE = f"{OWN}/quarantine.jsonl"
# What sources.parquet says of a part that held such an episode.
DELETED = "deleted"


def read_deleted(root: Path) -> dict[str, str]:
    """episode_id -> why; empty where nothing was ever deleted. Raises `DatasetError` where the list is damaged."""
    path = resolve(root, OWN_DELETED)
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {row["episode_id"]: row["reason"] for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"not a list of episodes: {error}", where=str(path), hint="Restore the tree") from error


def deleted_lines(deleted: Mapping[str, str]) -> bytes:
    """The file, sorted by id."""
    rows = [{"episode_id": name, "reason": deleted[name]} for name in sorted(deleted)]
    return "".join(f"{json.dumps(row, sort_keys=True, ensure_ascii=False)}\n" for row in rows).encode()
