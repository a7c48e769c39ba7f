"""A tree of nine episodes with what a card and a page show, and its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.dataset.parts import Part, parts_of

_DATASET = helpers(UNIT / "dataset" / "conftest.py")

# task, robot, site, recorded at, licence of each episode; the last repeats the one before with an id of its own.
ROWS = [
    ("open", "cell-a", "north", "2026-03-01T08:00:00Z", "cc-by-4.0"),
    ("open", "cell-a", "north", "2026-03-01T08:05:00Z", "cc-by-4.0"),
    ("open", "cell-a", "north", "2026-03-02T08:00:00Z", "cc-by-4.0"),
    ("open", "cell-b", "south", "2026-03-09T08:00:00Z", "cc-by-4.0"),
    ("close", "cell-a", "north", "2026-03-09T09:00:00Z", ""),
    ("close", "cell-a", "north", "", ""),
    ("pour <b>|x</b>", "cell-b", "south", "2026-03-10T08:00:00Z", "in-house"),
    ("pour <b>|x</b>", "cell-b", "south", "unknown", "in-house"),
]


def make_episode(number: int, **changes: Any) -> Any:
    task, robot, site, recorded_at, licence = ROWS[number]
    episode = _DATASET.make_episode(number, length=20 + number, task=task, instruction=f"please {task}")
    said = {"robot_id": robot, "site": site, "recorded_at": recorded_at, "licence": licence, "outcome": "success"}
    said |= {"collector_id": "anna" if number else "", "consent_ref": "form-7", "source_format": "mcap"}
    values = {name: getattr(episode, name) for name in ("images", "state", "action", "time_s", "streams")}
    control = np.where(np.arange(len(episode)) < 9, 0, 1)[:, None]
    values |= {"extras": {**episode.extras, "control_source": control}, "row": {**episode.row, **said}}
    values |= {"episode_id": episode.episode_id, "task": task, "instruction": episode.instruction}
    return type(episode)(**(values | changes))


def write_tree(root: Path) -> None:
    episodes = [make_episode(number) for number in range(len(ROWS))]
    _DATASET.write_tree(root, [*episodes, make_episode(0, episode_id="0" * 64)])


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine episodes; tests only read it."""
    root = tmp_path_factory.mktemp("view") / "kitchen"
    write_tree(root)
    return root


@pytest.fixture(scope="session")
def parts(tree: Path) -> list[Part]:
    return parts_of(tree)


@pytest.fixture(scope="session")
def verdicts(parts: list[Part], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Episode 2 is set aside for two reasons, episode 5 has no verdict."""
    ids = parts[0].dataset.table(["episode_id"])["episode_id"].to_pylist()
    bad = {2: ["black_frames", "idle"]}
    rows = [
        {"episode_id": name, "verdict": "quarantined" if at in bad else "accepted", "codes": bad.get(at, [])}
        for at, name in enumerate(ids)
        if at != 5
    ]
    schema = pa.schema([("episode_id", pa.string()), ("verdict", pa.string()), ("codes", pa.list_(pa.string()))])
    path = tmp_path_factory.mktemp("checks") / "verdicts.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path
