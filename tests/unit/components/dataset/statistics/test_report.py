from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import part_of
from components.dataset.reader import Dataset
from components.dataset.statistics.base import read_base
from components.dataset.statistics.report import by_embodiment, report
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]


def test_each_embodiment_has_its_own(
    tree: Path, tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video
) -> None:
    other = replace(cell, name="arm-two")
    with DatasetWriter(tmp_path / "two", other, 20, video) as writer:
        writer.add_frames(make_episode(7, embodiment=other))
        writer.close()
    first, second = part_of(Dataset.open(tree), [0, 1]), part_of(Dataset.open(tree), [2])
    parts = [first, part_of(Dataset.open(tmp_path / "two")), second]
    assert [[len(part) for part in own] for own in by_embodiment(parts)] == [[1], [2, 1]]
    two, one = report(parts)
    assert (two.as_dict()["embodiment"], two.as_dict()["episodes"]) == ("arm-two", 1)
    assert one.as_dict()["episodes"] == 3
    assert one.as_dict()["stats"]["action"]["mean"] == Dataset.open(tree).stats_of([0, 1, 2])["action"]["mean"].tolist()


def test_actions_in_a_representation_stand_in_for_those_recorded(tree: Path) -> None:
    (found,) = report([part_of(Dataset.open(tree))], representation="chunk_relative", horizon=4)
    value = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert value["actions"]["references"] == {"arm": "", "gripper": ""}
    assert np.shape(value["actions"]["stats"]["mean"]) == (4, 4)
    assert sum(value["actions"]["stats"]["count"]) == value["stats"]["action"]["count"][0]
    # They have a table of their own, whose rows say the step.
    assert "action" not in {row[0] for row in found.rows()[1]}
    assert found.action_rows()[0][:2] == ["step", "dimension"]


def test_rows_are_called_as_the_robot_calls_them(tree: Path) -> None:
    (found,) = report([part_of(Dataset.open(tree))])
    columns, rows = found.rows()
    assert columns[:3] == ["feature", "dimension", "mean"]
    called = {(row[0], row[1]) for row in rows}
    assert {("action", "effort"), ("observation.state", "hand_x"), ("observation.images.wrist", "green")} <= called
    assert ("observation.joints", "6") in called
    assert found.action_rows() == ([], [])


def test_a_dataset_fits_its_own_statistics(tree: Path) -> None:
    (found,) = report([part_of(Dataset.open(tree))], base=read_base(tree))
    assert found.comparison is not None
    assert found.comparison.verdict == "fits"
    assert found.as_dict()["base"]["features"]["action"]["dimensions"][0]["name"] == "dx"
