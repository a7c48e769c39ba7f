"""A few pictures for a card: the middle of one episode of each of the most frequent tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.dataset.episode_table import episodes_of, query
from components.dataset.members import Elsewhere
from components.dataset.parts import Part
from components.dataset.pictures import frame, jpeg

MOST_TASKS = 6
_WIDEST_PX = 240
_QUALITY = 80


@dataclass(frozen=True)
class Sample:
    """`jpegs`: camera -> its frame in the middle of the episode."""

    task: str
    episode_id: str
    jpegs: dict[str, bytes]


def samples(parts: Sequence[Part], verdicts: pa.Table | None = None) -> list[Sample]:
    """One episode of each of the most frequent tasks: of those not set aside the one whose id comes first.

    Members that are not on this machine show nothing.
    """
    here = [part for part in parts if not isinstance(part.dataset, Elsewhere)]
    if not here:
        return []
    sql = (
        "SELECT task, arg_min({part: part, episode_index: episode_index, episode_id: episode_id},"
        " {worse: coalesce(verdict, '') = 'quarantined', id: episode_id, part: part}) AS chosen"
        f" FROM episodes GROUP BY task ORDER BY count(*) DESC, task LIMIT {MOST_TASKS}"
    )
    with episodes_of(here, ("task", "episode_id", "episode_index", "verdict"), verdicts) as connection:
        rows = query(connection, sql)
    return [_sample(here, row["task"], row["chosen"]) for row in rows]


def _sample(parts: Sequence[Part], task: str, chosen: dict[str, int | str]) -> Sample:
    part, index = parts[int(chosen["part"])], int(chosen["episode_index"])
    jpegs = {}
    for camera in part.dataset.cameras:
        _, _, length = part.dataset.video_place(index, camera)
        jpegs[camera] = jpeg(frame(part.dataset, index, camera, length // 2), quality=_QUALITY, widest_px=_WIDEST_PX)
    return Sample(task, str(chosen["episode_id"]), jpegs)
