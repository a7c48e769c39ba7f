"""The table that is judged."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa

from components.checks.codes import JUDGED
from components.checks.own.relate import IDENTITY, relate
from components.core.params import Checks


def test_every_judged_column_is_there_and_finite(good_table: pd.DataFrame) -> None:
    assert set(JUDGED) | set(IDENTITY) <= set(good_table.columns)
    assert not good_table[list(JUDGED)].isna().to_numpy().any()
    numbers = good_table[list(JUDGED)].select_dtypes("number")
    assert np.isfinite(numbers.to_numpy()).all()


def test_identity_and_order_are_those_of_the_measures(good_measures: pa.Table, good_table: pd.DataFrame) -> None:
    for name in IDENTITY:
        assert good_table[name].tolist() == good_measures[name].to_pylist()


def test_single_numbers_are_kept_and_vectors_are_not(good_measures: pa.Table, good_table: pd.DataFrame) -> None:
    for name in ("length", "ldlj", "detail_wrist", "brightness_fixed"):
        assert good_table[name].tolist() == good_measures[name].to_pylist()
    assert not {"start", "thumbs", "lag_scores", "streams", "fingerprint"} & set(good_table.columns)


def test_order_of_the_rows_does_not_matter(
    good_measures: pa.Table, good_table: pd.DataFrame, episodes: ModuleType, params: Checks
) -> None:
    order = np.random.default_rng(0).permutation(len(good_table))
    shuffled = relate(good_measures.take(pa.array(order)), episodes.CELL, params, fps=episodes.FPS)
    pd.testing.assert_frame_equal(shuffled, good_table.iloc[order].reset_index(drop=True), rtol=1e-9, atol=1e-12)


def test_few_episodes_are_judged_by_themselves_alone(episodes: ModuleType, params: Checks) -> None:
    for count in (1, 3):
        table = episodes.table_of([episodes.good(seed) for seed in range(count)], params)
        assert episodes.codes_of(table, params) == [set()] * count
    spoilt = [episodes.FAULTS[code][0](episodes.good(9)) for code in ("nan", "black_frames", "clock_stopped")]
    found = episodes.codes_of(episodes.table_of([episodes.good(0), *spoilt], params), params)
    assert [codes & {"nan", "black_frames", "clock_stopped"} for codes in found[1:]] == [
        {"nan"},
        {"black_frames"},
        {"clock_stopped"},
    ]
