from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.dataset.parts import part_of
from components.dataset.reader import Dataset
from components.dataset.statistics import words
from components.dataset.statistics.compare import Comparison, compare
from components.dataset.statistics.representation import ActionStatistics, action_statistics

NAMES = ("dx", "dy", "dz", "effort")


@pytest.fixture(scope="module")
def chunks(tree: Path) -> ActionStatistics:
    return action_statistics([part_of(Dataset.open(tree))], "chunk_relative", 8)


def compared(mean: float, width: int = 6) -> Comparison:
    ones = {"mean": np.zeros(width), "std": np.ones(width), "count": np.array([9])}
    ones |= {name: np.zeros(width) for name in ("min", "max", "q01", "q10", "q50", "q90", "q99")}
    base = {"mean": np.full(6, mean), "std": np.ones(6)}
    return compare({"action": ones, "extra": ones}, {"action": base}, names={"action": list("abcdef")})


@pytest.mark.parametrize(("horizon", "expected"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 2, 3]), (50, [0, 25, 49])])
def test_of_a_long_chunk_three_steps_are_shown(horizon: int, expected: list[int]) -> None:
    assert words.shown_steps(horizon) == expected


def test_each_step_has_rows_of_its_own(chunks: ActionStatistics) -> None:
    columns, rows = words.action_rows(chunks, NAMES)
    assert columns[:3] == ["step", "dimension", "mean"]
    assert [row[:2] for row in rows] == [[step, name] for step in ("0", "4", "7", "all") for name in NAMES]
    shown = [float(row[2]) for row in rows]
    expected = [*(chunks.steps[step].result()["mean"] for step in (0, 4, 7)), chunks.overall().result()["mean"]]
    np.testing.assert_allclose(shown, np.concatenate(expected), rtol=1e-3)
    assert words.action_title(chunks) == "actions as chunk_relative, 8 steps a chunk"
    assert words.action_remark(chunks) == "shown are the steps 0, 4, 7 of 0 to 7; --json has each\n"


def test_a_short_chunk_leaves_nothing_out(tree: Path) -> None:
    short = action_statistics([part_of(Dataset.open(tree))], "chunk_relative", 3)
    assert words.action_remark(short) == ""
    one = action_statistics([part_of(Dataset.open(tree))], "step_delta")
    columns, rows = words.action_rows(one, NAMES)
    assert (columns[0], [row[0] for row in rows]) == ("dimension", list(NAMES))


def test_a_step_past_every_episode_has_no_number(tree: Path) -> None:
    long = action_statistics([part_of(Dataset.open(tree))], "chunk_relative", 900)
    _, rows = words.action_rows(long, NAMES)
    assert set(rows[-5][2:]) == {""}
    assert all(rows[-1])


def test_what_actions_are_relative_to_is_said(chunks: ActionStatistics) -> None:
    found = replace(chunks, references={"arm": "state", "gripper": ""})
    assert words.action_title(found).endswith("steps a chunk, relative: arm to the state")


def test_a_comparison_is_a_table() -> None:
    columns, rows = words.comparison_rows(compared(3.0))
    assert (columns[0], columns[-1]) == ("feature", "verdict")
    assert rows[1] == ["action", "b", "3", "1", "", "", "shifted"]
    assert {len(row) for row in rows} == {len(columns)}
    other = words.comparison_rows(compared(0.0, width=7))[1]
    assert other == [["action", "7 dimensions, the base has 6", "", "", "", "", "unusable"]]
    assert words.lacking(compared(0.0)) == "only in the data: extra\n"


@pytest.mark.parametrize(
    ("mean", "width", "sentence"),
    [
        (0.0, 6, "fits. The data can be normalised by its statistics."),
        (3.0, 6, "shifted. Its statistics can be used, but the data differ in action: a, b, c, d and 2 more."),
        (9.0, 6, "unusable. Its statistics cannot normalise these data: action: a, b, c, d and 2 more."),
        (0.0, 7, "unusable. Its statistics cannot normalise these data: action: 7 dimensions, the base has 6."),
    ],
)
def test_a_verdict_is_a_sentence(mean: float, width: int, sentence: str) -> None:
    assert words.verdict_sentence(compared(mean, width)).startswith(f"the base checkpoint: {sentence}")


def test_nothing_in_common_is_said() -> None:
    found = words.verdict_sentence(Comparison((), ("action",), ("actions",)))
    assert found == "the base checkpoint: unusable. It has no feature in common with the data."
