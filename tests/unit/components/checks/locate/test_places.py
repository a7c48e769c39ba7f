"""Every code finds what was spoiled: the channel, camera or stream, and the ticks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from beside import UNIT, helpers

from components.checks.codes import CODES
from components.checks.locate.places import LOCATORS, locate
from components.checks.locate.subject import Subject, runs
from components.checks.own.relate import relate
from components.checks.own.rows import Rows
from components.checks.table import measure_dataset
from components.core.params import Checks, load_params
from components.dataset.reader import Dataset

EPISODES = helpers(UNIT / "checks" / "episodes.py")
GOOD = 32
# Code and which of its faults -> the place that is to be found: kind, name, and the ticks, if there are any.
WANTED: dict[tuple[str, int], tuple[str, str, list[tuple[int, int]]]] = {
    ("nan", 0): ("channel", "state/hand_y", [(5, 8)]),
    ("nan", 1): ("channel", "kept/joint_6", [(3, 3)]),
    ("nan", 2): ("stream", "hand", []),
    ("missing_stream", 0): ("stream", "gripper", []),
    ("missing_stream", 1): ("stream", "gripper", [(13, 39)]),
    ("missing_stream", 2): ("camera", "wrist", [(30, 39)]),
    ("missing_language", 0): ("episode", "", []),
    ("too_short", 0): ("episode", "", []),
    ("idle", 0): ("channel", "the hand", [(1, 39)]),
    ("frozen_camera", 0): ("camera", "fixed", [(21, 39)]),
    ("frozen_camera", 1): ("camera", "wrist", [(21, 39)]),
    ("duplicate_frames", 0): ("camera", "fixed", [(tick, tick) for tick in range(5, 40, 4)]),
    ("black_frames", 0): ("camera", "fixed", [(3, 10)]),
    ("blurred", 0): ("camera", "wrist", [(0, 39)]),
    ("exposure", 0): ("camera", "fixed", [(0, 39)]),
    ("exposure", 1): ("camera", "fixed", [(0, 39)]),
    ("dropped_frames", 0): ("stream", "fixed", []),
    ("dropped_frames", 2): ("stream", "wrist", []),
    ("clock_backwards", 0): ("stream", "joints", []),
    ("clock_stopped", 0): ("stream", "gripper", []),
    ("clock_jitter", 0): ("stream", "hand", []),
    ("rate_mismatch", 0): ("stream", "action", []),
    ("rate_mismatch", 1): ("episode", "", []),
    ("stream_misaligned", 0): ("stream", "wrist", []),
    ("stream_misaligned", 1): ("stream", "gripper", []),
    ("stream_misaligned", 2): ("stream", "action", []),
    ("action_out_of_range", 0): ("channel", "action/dx", [(4, 4)]),
    ("action_out_of_range", 1): ("channel", "action/effort", [(4, 4)]),
    ("action_jump", 0): ("channel", "action/dx", [(15, 15)]),
    ("state_jump", 0): ("channel", "state/hand_x", [(12, 12)]),
    ("joint_limit", 0): ("channel", "kept/joint_1", [(4, 6)]),
    ("unit_mismatch", 0): ("channel", "kept/joint_2", [(0, 39)]),
    ("unit_mismatch", 1): ("channel", "state/hand_z", []),
    ("constant_dim", 0): ("channel", "state/hand_y", [(13, 39)]),
    ("gripper_inverted", 0): ("channel", "action/effort", []),
    ("action_state_disagree", 0): ("channel", "state/hand_y", []),
    ("wrong_dim_order", 1): ("channel", "state/hand_z", []),
    ("wrong_dim_order", 2): ("channel", "kept/joint_5", []),
    ("outlier_episode", 0): ("episode", "length", []),
    ("no_consent", 0): ("episode", "", []),
    ("licence_forbids", 0): ("episode", "", []),
    ("camera_swapped", 0): ("camera", "wrist", []),
    ("instruction_mismatch", 0): ("episode", "", []),
}


class Spoiled:
    """A dataset with good episodes, one for each of `WANTED` and a copy, measured and related."""

    def __init__(self, root: Path, params: Checks, video: Any) -> None:
        samples = [EPISODES.good(seed) for seed in range(GOOD)]
        self.ids = {}
        for place, (code, way) in enumerate(WANTED):
            sample = EPISODES.FAULTS[code][way](EPISODES.good(100 + place))
            self.ids[code, way] = str(sample.row["episode_id"])
            samples.append(sample)
        self.first = str(samples[0].row["episode_id"])
        later = {"episode_id": "c" * 64, "recorded_at": "2026-03-01T08:00:00Z"}
        samples.append(samples[0].with_row(**later))
        EPISODES.write_dataset(root, samples, video)
        self.dataset, self.params = Dataset.open(root), params
        self.rows = Rows(measure_dataset(root, params), self.dataset.embodiment)
        self.table = relate(self.rows.table, self.dataset.embodiment, params, fps=self.dataset.fps)

    def subject(self, episode_id: str) -> Subject:
        number = self.table["episode_id"].tolist().index(episode_id)
        row = pa.Table.from_pandas(self.table, preserve_index=False).slice(number, 1).to_pylist()[0]
        return Subject(self.dataset, self.rows, number, row, self.params)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Spoiled:
    params = load_params(project / "params.yaml")
    return Spoiled(tmp_path_factory.mktemp("spoiled") / "dataset", params.checks, params.ingest.video)


def test_every_code_is_looked_for() -> None:
    assert set(LOCATORS) == set(CODES)


@pytest.mark.parametrize(("code", "way"), list(WANTED))
def test_what_was_spoiled_is_found(spoiled: Spoiled, code: str, way: int) -> None:
    kind, name, ticks = WANTED[code, way]
    places = locate(spoiled.subject(spoiled.ids[code, way]), code)
    assert all(place.note for place in places)
    (found,) = [place for place in places if (place.kind, place.name) == (kind, name)]
    if ticks:
        assert list(found.ticks) == ticks


def test_clean_channels_are_not_accused(spoiled: Spoiled) -> None:
    for code, way in (("nan", 0), ("joint_limit", 0), ("action_out_of_range", 0), ("black_frames", 0), ("blurred", 0)):
        assert len(locate(spoiled.subject(spoiled.ids[code, way]), code)) == 1


def test_a_good_episode_has_no_place_of_any_fault(spoiled: Spoiled) -> None:
    subject = spoiled.subject(str(EPISODES.good(5).row["episode_id"]))
    for code in ("nan", "frozen_camera", "black_frames", "blurred", "exposure", "state_jump", "clock_backwards"):
        assert LOCATORS[code](subject) == []
        assert [place.kind for place in locate(subject, code)] == ["episode"]


def test_a_copy_names_the_recording_that_it_copies(spoiled: Spoiled) -> None:
    (place,) = locate(spoiled.subject("c" * 64), "duplicate_episode")
    assert spoiled.first[:12] in place.note
    assert EPISODES.good(0).row["source_uri"] in place.note


def test_an_exchange_names_both(spoiled: Spoiled) -> None:
    places = locate(spoiled.subject(spoiled.ids["wrong_dim_order", 1]), "wrong_dim_order")
    assert [place.name for place in places] == ["state/hand_y", "state/hand_z"]
    assert "state/hand_z" in places[0].note


@pytest.mark.parametrize(
    ("flags", "gap", "wanted"),
    [
        ("", 1, ()),
        ("...", 1, ()),
        ("xx.x", 1, ((0, 3),)),
        ("xx.x", 0, ((0, 1), (3, 3))),
        (".x..x", 1, ((1, 1), (4, 4))),
    ],
)
def test_runs(flags: str, gap: int, wanted: tuple[tuple[int, int], ...]) -> None:
    assert runs(np.array([flag == "x" for flag in flags], bool), gap) == wanted
