"""Sharpness, light and exchanged cameras, on made numbers."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks.own.pictures import pictures
from components.checks.own.rows import FEWEST, Rows

COUNT = 12
THUMBS = {"fixed": np.array([9.0, 1, 1, 1]), "wrist": np.array([1.0, 1, 1, 9])}


def rows_of(body: Any, count: int = COUNT, **last: Any) -> Rows:
    """Rows that are all alike, but for columns of the last one."""
    columns: dict[str, Any] = {"task": "drawer", "thumbs": np.concatenate(list(THUMBS.values())).tolist()}
    for camera in THUMBS:
        columns |= {f"detail_{camera}": 0.4, f"brightness_{camera}": 100.0}
        columns |= {f"clipped_dark_{camera}": 0.0, f"clipped_bright_{camera}": 0.1}
    return Rows(
        pa.table({name: [value] * (count - 1) + [last.get(name, value)] for name, value in columns.items()}), body
    )


def judged(episodes: ModuleType, **last: Any) -> dict[str, float]:
    found = pictures(rows_of(episodes.CELL, **last))
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        {"blur": 1.0, "exposure_stops": 0.0, "camera_swap": 0.0}
    )
    return {name: float(values[-1]) for name, values in found.items()}


def test_blur_is_how_much_detail_is_lost_by_the_worst_camera(episodes: ModuleType) -> None:
    found = judged(episodes, detail_wrist=0.2, detail_fixed=0.8)
    assert found == pytest.approx({"blur": 2.0, "exposure_stops": 0.0, "camera_swap": 0.0})
    # An even picture has no detail to lose.
    assert judged(episodes, detail_wrist=0.0)["blur"] == 1.0


@pytest.mark.parametrize(("light", "stops"), [(50.0, 1.0), (200.0, 1.0), (25.0, 2.0), (0.0, np.log2(100))])
def test_light_counts_in_stops_to_either_side(episodes: ModuleType, light: float, stops: float) -> None:
    assert judged(episodes, brightness_fixed=light)["exposure_stops"] == pytest.approx(stops)


def test_clipped_pixels_beyond_the_usual_are_light_that_is_lost(episodes: ModuleType) -> None:
    assert judged(episodes, clipped_bright_fixed=0.6)["exposure_stops"] == pytest.approx(1.0)
    assert judged(episodes, clipped_dark_fixed=0.75)["exposure_stops"] == pytest.approx(2.0)
    assert judged(episodes, clipped_bright_fixed=0.0)["exposure_stops"] == 0.0
    both = judged(episodes, clipped_dark_fixed=0.5, brightness_fixed=50.0)
    assert both["exposure_stops"] == pytest.approx(2.0)


def test_exchanged_cameras_look_like_each_other(episodes: ModuleType) -> None:
    exchanged = np.concatenate([THUMBS["wrist"], THUMBS["fixed"]]).tolist()
    assert judged(episodes, thumbs=exchanged)["camera_swap"] == pytest.approx(4 / 3)
    brighter = (3 * np.concatenate(list(THUMBS.values())) + 20).tolist()
    assert judged(episodes, thumbs=brighter)["camera_swap"] == 0.0


def test_even_pictures_look_like_nothing(episodes: ModuleType) -> None:
    assert judged(episodes, thumbs=[7.0] * 8)["camera_swap"] == 0.0


def test_neutral_where_nothing_can_be_compared(episodes: ModuleType) -> None:
    blind = replace(episodes.CELL, observation=replace(episodes.CELL.observation, cameras=()))
    for rows in (rows_of(episodes.CELL, FEWEST - 1, detail_wrist=0.1, brightness_fixed=1.0), rows_of(blind)):
        found = {name: set(values.tolist()) for name, values in pictures(rows).items()}
        assert found == {"blur": {1.0}, "exposure_stops": {0.0}, "camera_swap": {0.0}}


def test_one_camera_cannot_be_exchanged(episodes: ModuleType) -> None:
    one = replace(episodes.CELL, observation=replace(episodes.CELL.observation, cameras=("fixed",)))
    rows = rows_of(one)
    half = pa.array([THUMBS["fixed"].tolist()] * COUNT)
    table = rows.table.set_column(rows.table.column_names.index("thumbs"), "thumbs", half)
    assert not pictures(Rows(table, one))["camera_swap"].any()


def test_a_tenth_of_bad_episodes_moves_nothing(episodes: ModuleType) -> None:
    one = rows_of(episodes.CELL, 20, brightness_fixed=5.0, detail_wrist=0.01).table
    table = pa.concat_tables([one.slice(1), one.slice(1)])
    found = pictures(Rows(table, episodes.CELL))
    good = np.arange(len(table)) % 19 != 18
    assert not found["exposure_stops"][good].any()
    assert (found["exposure_stops"][~good] > 4).all()
    assert (found["blur"][~good] > 30).all()
