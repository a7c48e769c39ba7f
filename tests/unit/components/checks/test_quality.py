"""One number an episode, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.checks.quality import MIN_TASK_EPISODES, MOTION_WEIGHTS, NEUTRAL, combined, quality, quality_parts

NUMBERS = {"ldlj": (-30.0, 0.0), "path_efficiency": (0.0, 1.0), "idle_share": (0.0, 1.0), "length": (1.0, 500.0)}
BETTER_BY_LESS = ("idle_share", "length")
SAID = ("success", "partial", "failure", "abort", "invalid", "unknown", "")
PART_OF = dict(zip(NUMBERS, MOTION_WEIGHTS, strict=True))


def table_of(count: int, **columns: object) -> pd.DataFrame:
    """Episodes of one task that are alike but for `columns`."""
    alike = {"task": "open", "outcome": "success", "ldlj": -9.0, "path_efficiency": 0.5, "idle_share": 0.1}
    return pd.DataFrame({**alike, "length": 60, **columns}, index=range(count))


@st.composite
def tables(draw: st.DrawFn, least: int = 1) -> pd.DataFrame:
    """Few distinct values, so that some tie; some missing; tasks with few and with many episodes."""
    row = {"task": st.sampled_from(["open", "open", "pull", ""]), "outcome": st.sampled_from(SAID)}
    for name, (low, high) in NUMBERS.items():
        row[name] = st.one_of(st.sampled_from([low, high, np.nan, np.inf]), st.floats(low, high))
    return pd.DataFrame(draw(st.lists(st.fixed_dictionaries(row), min_size=least, max_size=30)))


@settings(deadline=None)
@given(table=tables())
def test_every_episode_has_a_number_in_0_to_1_and_its_parts_explain_it(table: pd.DataFrame) -> None:
    found, parts = quality(table), quality_parts(table)
    assert found.dtype == "float64"
    assert found.index.equals(table.index)
    assert found.between(0, 1).all()
    assert list(parts) == [*MOTION_WEIGHTS, "quality_outcome"]
    assert ((parts >= 0) & (parts <= 1)).all().all()
    motion = sum(weight * parts[name] for name, weight in MOTION_WEIGHTS.items())
    np.testing.assert_allclose(found**2, motion * parts["quality_outcome"])


@settings(deadline=None)
@given(table=tables(), data=st.data())
def test_the_order_of_the_rows_and_their_names_do_not_matter(table: pd.DataFrame, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(table))))
    mixed = table.iloc[order].set_axis([7] * len(table))
    assert quality(mixed).tolist() == quality(table).iloc[order].tolist()


@settings(deadline=None)
@given(table=tables(), column=st.sampled_from(list(NUMBERS)), share=st.floats(0, 1), data=st.data())
def test_an_episode_that_does_better_never_scores_less(
    table: pd.DataFrame, column: str, share: float, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(table) - 1))
    low, high = NUMBERS[column]
    best = low if column in BETTER_BY_LESS else high
    old = table.loc[row, column] = np.nan_to_num(table.loc[row, column], nan=low, posinf=high)
    better = table.copy()
    better.loc[row, column] = np.clip(old + share * (best - old), low, high)
    assert quality(better)[row] >= quality(table)[row]


@settings(deadline=None)
@given(parts=st.lists(st.floats(0, 1), min_size=5, max_size=5), which=st.integers(0, 4), more=st.floats(0, 1))
def test_more_of_a_part_is_never_less_quality(parts: list[float], which: int, more: float) -> None:
    names = [*MOTION_WEIGHTS, "quality_outcome"]
    one = pd.DataFrame([parts], columns=names)
    other = one.assign(**{names[which]: max(parts[which], more)})
    assert combined(other)[0] >= combined(one)[0]


@pytest.mark.parametrize("column", NUMBERS)
def test_a_part_is_the_share_of_its_task_that_an_episode_surpasses(column: str) -> None:
    values = [1, 2, 2, 3, 4, 5, 6, 7, 8, 9]
    expected = np.array([0.05, 0.2, 0.2, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
    found = quality_parts(table_of(10, **{column: values}))[PART_OF[column]]
    np.testing.assert_allclose(found, 1 - expected if column in BETTER_BY_LESS else expected)


@pytest.mark.parametrize("column", NUMBERS)
@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_was_not_measured_is_neutral_and_moves_no_other(column: str, missing: float) -> None:
    values = np.arange(10.0)
    whole = quality_parts(table_of(10, **{column: values}))[PART_OF[column]]
    holed = quality_parts(table_of(11, **{column: [*values, missing]}))[PART_OF[column]]
    assert holed.tolist() == [*whole, NEUTRAL]
    nothing = quality_parts(table_of(9, **{column: np.nan}))[PART_OF[column]]
    assert set(nothing) == {NEUTRAL}


def test_a_task_is_compared_with_itself_and_a_small_one_with_all() -> None:
    enough = ["slow"] * MIN_TASK_EPISODES + ["fast"] * MIN_TASK_EPISODES
    lengths = [*range(100, 100 + MIN_TASK_EPISODES), *range(10, 10 + MIN_TASK_EPISODES)]
    brisk = quality_parts(table_of(len(enough), task=enough, length=lengths))["quality_brisk"]
    assert brisk[: MIN_TASK_EPISODES - 1].tolist() == brisk[MIN_TASK_EPISODES:-1].tolist()
    few = quality_parts(table_of(len(enough) - 1, task=enough[:-1], length=lengths[:-1]))["quality_brisk"]
    assert few[:MIN_TASK_EPISODES].tolist() == brisk[:MIN_TASK_EPISODES].tolist()
    assert few[MIN_TASK_EPISODES:].min() > 0.5


def test_the_outcome_orders_episodes_that_move_alike_and_unknown_is_no_success() -> None:
    found = dict(zip(SAID, quality(table_of(len(SAID), outcome=SAID)), strict=True))
    assert found["success"] > found["partial"] > found["failure"] == found["abort"] > found["invalid"] == 0
    assert found["unknown"] == found[""] == pytest.approx(0.5)
    odd = quality(table_of(2, outcome=["Success!", None]))
    assert odd.tolist() == [found["unknown"]] * 2


def test_no_grace_makes_up_for_a_failure() -> None:
    best = {"ldlj": -1.0, "path_efficiency": 1.0, "idle_share": 0.0, "length": 5}
    clumsy = table_of(20, outcome=["failure"] + ["success"] * 19)
    clumsy.loc[0, list(best)] = list(best.values())
    found = quality(clumsy)
    assert found[0] < 0.32
    assert found[0] < found[1:].min()
