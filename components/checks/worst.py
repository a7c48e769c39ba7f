"""The worst episodes in pictures: of every code the one that breaks it most, then those that break most codes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.dataset.pictures import data_uri, frame, jpeg

if TYPE_CHECKING:
    from components.dataset.reader import Dataset

MOST = 12
_WIDEST_PX, _QUALITY = 120, 70


def worst(dataset: Dataset, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of checks.json with `cameras`: camera -> its first, middle and last picture, as URIs."""
    return [{**found, "cameras": _pictures(dataset, found["episode_index"])} for found in choose(report["failed"])]


def choose(failed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `MOST` of them, each once."""
    by_code: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, found in enumerate(failed):
        for entry in found["evidence"]:
            by_code[entry["code"]].append((-excess(entry), number))
    frequent = sorted(by_code, key=lambda code: (-len(by_code[code]), code))
    chosen = dict.fromkeys(min(by_code[code])[1] for code in frequent)
    most = sorted(range(len(failed)), key=lambda number: (-len(failed[number]["codes"]), number))
    return [failed[number] for number in list(dict.fromkeys([*chosen, *most]))[:MOST]]


def excess(entry: Mapping[str, Any]) -> float:
    """How far a number is beyond its limit, as the logarithm of a ratio; 0 where there is no ratio."""
    value, limit = entry["value"], entry["limit"]
    if not isinstance(value, (int, float)) or not isinstance(limit, (int, float)) or min(value, limit) <= 0:
        return 0.0
    found = abs(math.log(value / limit))
    return found if math.isfinite(found) else 0.0


def _pictures(dataset: Dataset, index: int) -> dict[str, list[str]]:
    found = {}
    for camera in dataset.cameras:
        length = dataset.video_place(index, camera).length
        ticks = sorted({0, length // 2, length - 1})
        shown = [jpeg(frame(dataset, index, camera, tick), quality=_QUALITY, widest_px=_WIDEST_PX) for tick in ticks]
        found[camera] = [data_uri(data) for data in shown]
    return found
