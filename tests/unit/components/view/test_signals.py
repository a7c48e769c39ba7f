from __future__ import annotations

from pathlib import Path

import numpy as np
from beside import UNIT, helpers

from components.dataset.parts import Part
from components.dataset.reader import Dataset
from components.view.signals import Signals, read_signals

_DATASET = helpers(UNIT / "dataset" / "conftest.py")


def test_columns_are_cut_as_the_embodiment_says(parts: list[Part]) -> None:
    dataset = parts[0].dataset
    signals = read_signals(dataset, 3)
    frames = dataset.frames(3)
    found = {group.path: group for group in signals.groups}
    assert list(found) == ["state/hand", "state/gripper", "action/arm", "action/gripper", "extra/joints"]
    assert (found["state/hand"].names, found["state/hand"].units) == (("hand_x", "hand_y", "hand_z"), "m")
    state = np.hstack([found["state/hand"].values, found["state/gripper"].values])
    np.testing.assert_array_equal(state, frames["observation.state"])
    action = np.hstack([found["action/arm"].values, found["action/gripper"].values])
    np.testing.assert_array_equal(action, frames["action"])
    np.testing.assert_array_equal(found["extra/joints"].values, frames["observation.joints"])
    assert found["extra/joints"].units == "rad"
    np.testing.assert_array_equal(signals.time_s, frames["observation.time"])


def test_who_moved_the_robot_comes_in_runs(parts: list[Part]) -> None:
    assert read_signals(parts[0].dataset, 2).spans() == [
        {"from": 0, "to": 9, "source": "policy"},
        {"from": 9, "to": 22, "source": "human"},
    ]


def test_runs_cover_every_tick_once() -> None:
    control = np.array([1, 1, 0, 3, 3, 3, 0])
    spans = Signals(np.arange(7.0), (), control).spans()
    assert [(span["from"], span["to"]) for span in spans] == [(0, 2), (2, 3), (3, 6), (6, 7)]
    assert [span["source"] for span in spans] == ["human", "policy", "reset", "policy"]


def test_a_tree_that_does_not_say_who_moved_has_no_spans(tmp_path: Path) -> None:
    _DATASET.write_tree(tmp_path / "tree", [_DATASET.make_episode(1)])
    signals = read_signals(Dataset.open(tmp_path / "tree"), 0)
    assert signals.control is None
    assert signals.spans() == []
