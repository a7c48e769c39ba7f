"""The lag of an episode against that of the others, and what is handed on."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.checks.measure.coupling import LAGS
from components.checks.own.dynamics import dynamics
from components.checks.own.gains import unexplained
from components.checks.own.order import wrong_order
from components.checks.own.rows import FEWEST, Rows

ACTION = "action"
Change = Callable[[Any], Any]
Found = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def found(episodes: ModuleType, good_measures: pa.Table) -> Found:
    """`found(change, ...)`: columns of the good episodes and then of one more for each change."""

    def of(*changes: Change) -> pd.DataFrame:
        spoilt = [change(episodes.good(101 + number)) for number, change in enumerate(changes)]
        table = pa.concat_tables([good_measures, episodes.measured(spoilt)]) if spoilt else good_measures
        return pd.DataFrame(dynamics(Rows(table, episodes.CELL)))

    return of


def late(ticks: int) -> Change:
    return lambda s: s.with_frames(ACTION, np.roll(s.frames[ACTION], ticks, axis=0))


@pytest.mark.parametrize("ticks", [-3, -1, 0, 1, 3])
def test_the_lag_of_an_episode_is_told_and_compared(found: Found, ticks: int) -> None:
    table = found(late(-ticks))
    assert set(table["action_lag_frames"][:40]) == {1.0}
    assert table["action_lag_frames"].iloc[-1] == 1 + ticks
    assert table["action_lag_error"].iloc[-1] == abs(ticks)
    assert not table["action_lag_error"][:40].any()


def test_only_a_lag_that_fits_clearly_better_is_another(episodes: ModuleType, good_measures: pa.Table) -> None:
    def error(better: float, best: float = 0.9) -> float:
        """Of an episode that fits by so much better two ticks later than usual."""
        scores = np.zeros((len(good_measures), len(LAGS)))
        scores[:, LAGS == 1] = 0.9
        scores[-1, LAGS == 1], scores[-1, LAGS == 3] = best - better, best
        column = pa.array(scores.tolist())
        table = good_measures.set_column(good_measures.column_names.index("lag_scores"), "lag_scores", column)
        found = dynamics(Rows(table, episodes.CELL))
        assert found["action_lag_frames"][-1] == (3 if best >= 0.5 else 0)
        assert not found["action_lag_error"][:-1].any()
        return float(found["action_lag_error"][-1])

    assert (error(0.04), error(0.06), error(0.3, best=0.51), error(0.3, best=0.49)) == (0, 2, 2, 0)


def test_of_equal_lags_the_smallest_is_told(episodes: ModuleType, good_measures: pa.Table) -> None:
    column = pa.array([[0.8] * len(LAGS)] * len(good_measures))
    table = good_measures.set_column(good_measures.column_names.index("lag_scores"), "lag_scores", column)
    assert not dynamics(Rows(table, episodes.CELL))["action_lag_frames"].any()


def test_an_episode_that_stands_has_no_lag(found: Found) -> None:
    def stand(sample: Any) -> Any:
        return sample.with_frames(ACTION, np.zeros_like(sample.frames[ACTION]))

    last = found(stand).iloc[-1]
    assert (last["action_lag_frames"], last["action_lag_error"]) == (0, 0)


def test_disagreement_and_order_are_handed_on(episodes: ModuleType, good_measures: pa.Table) -> None:
    rows = Rows(good_measures, episodes.CELL)
    columns = dynamics(rows)
    contradicted, beyond = unexplained(rows)
    assert (columns["action_contradicted"] == contradicted).all()
    assert (columns["action_unexplained"] == beyond).all()
    assert (columns["wrong_order"] == wrong_order(rows)).all()


@pytest.mark.parametrize("count", [1, FEWEST - 1])
def test_nothing_is_said_of_few_episodes_but_their_lag(
    good_measures: pa.Table, episodes: ModuleType, count: int
) -> None:
    columns = dynamics(Rows(good_measures.slice(0, count), episodes.CELL))
    assert set(columns.pop("action_lag_frames").tolist()) == {1.0}
    assert not any(values.any() for values in columns.values())
