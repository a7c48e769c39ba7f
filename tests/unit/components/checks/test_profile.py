"""Bins that any sample falls into, an index of drift that chance alone does not raise, and what is stored of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.checks.profile import PROFILE, bins_of, chance, count, profile_of, psi, read_profile, stored_bins
from components.core.errors import RecordError
from components.core.files import write_json

NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=80)


def table(count: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "length": rng.integers(40, 60, count).astype(float),
            "ldlj": rng.normal(size=count),
            "brightness_top": rng.normal(100, 10, count),
            "task": rng.choice(["a", "b"], count),
            "robot_id": [f"robot-{n % 400}" for n in range(count)],
            "site": "",
            "instruction": rng.choice(["open it", "close it"], count),
        }
    )


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_every_number_falls_into_one_bin_and_the_index_is_a_distance(one: list[float], other: list[float]) -> None:
    made = bins_of(pd.Series(one, dtype="float64"))
    after = count(pd.Series(other, dtype="float64"), made.bins)
    assert list(made.bins) == sorted(set(made.bins))
    assert (sum(made.counts), after.sum()) == (len(one), len(other))
    assert len(made.counts) == len(after) == len(made.bins) + 1
    assert psi(made.counts, made.counts) == 0
    assert psi(made.counts, after) == pytest.approx(psi(after, made.counts))
    assert psi(made.counts, after) >= 0


@pytest.mark.parametrize("away", [-1e-9, 1e-9])
def test_a_number_that_never_changed_has_a_bin_of_its_own(away: float) -> None:
    made = bins_of(pd.Series([1.0] * 50))
    assert psi(made.counts, count(pd.Series([1.0 + away] * 50), made.bins)) > 5


def test_names_that_are_new_are_counted_together() -> None:
    made = bins_of(pd.Series(["b", "a", "b"]))
    assert (made.bins, made.counts) == (["a", "b"], [1, 2, 0])
    assert count(pd.Series(["c", "a", "d", None], dtype="object"), made.bins).tolist() == [1, 0, 2]


@pytest.mark.parametrize(("before", "after"), [(30, 30), (300, 40), (2000, 2000)])
def test_two_samples_of_one_thing_rarely_differ_more_than_chance(before: int, after: int) -> None:
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(400):
        made = bins_of(pd.Series(rng.normal(size=before)))
        found = count(pd.Series(rng.normal(size=after)), made.bins)
        alarms += psi(made.counts, found) > chance(made.counts, found)
    assert alarms <= 4


def test_a_profile_is_small_whatever_the_number_of_episodes_and_comes_back_whole(tmp_path: Path) -> None:
    small, large = (profile_of(table(n), "d" * 64) for n in (50, 20000))
    assert len(json.dumps(large)) < 8000
    assert large["instructions"]["count"] == 2
    assert small["instructions"] == large["instructions"]
    assert large == profile_of(table(20000).sample(frac=1, random_state=3), "d" * 64)
    write_json(tmp_path / PROFILE, large)
    assert read_profile(tmp_path) == read_profile(tmp_path / PROFILE) == large
    assert sum(stored_bins(large)["robot_id"].counts) == 20000


def test_what_no_episode_holds_is_left_out() -> None:
    assert "ldlj" not in profile_of(table(9).assign(ldlj=np.nan), "d" * 64)["columns"]
    empty = profile_of(table(9).head(0), "d" * 64)
    assert (empty["episodes"], empty["columns"]) == (0, {})


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"columns": {"a": 1}, "dataset": ""}', '{"columns": {}}'])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / PROFILE).write_text(text)
    with pytest.raises(RecordError, match=r"is no profile of a dataset.*earlier check"):
        read_profile(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"profile\.json: is no profile"):
        read_profile(tmp_path)
