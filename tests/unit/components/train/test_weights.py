from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import RecordError
from components.train.data import Windows
from components.train.jobs import Job
from components.train.train import train_one
from components.train.weights import powers, window_weights

# float32 is what a batch holds.
NEAR = 1e-5


@pytest.fixture
def verdicts_of(inputs, tmp_path):
    """Writes verdicts with `quality` by the rows of a loader over the training side, in an order of their own."""

    def write(quality) -> Path:
        path = tmp_path / "verdicts.parquet"
        rows = {"episode_id": inputs.episodes["episode_id"], "verdict": "accepted", "codes": [[] for _ in quality]}
        pd.DataFrame({**rows, "quality": quality})[::-1].to_parquet(path, index=False)
        return path

    return write


def test_an_episode_counts_by_its_quality_to_the_power(inputs, verdicts_of):
    quality = np.linspace(0.1, 0.9, 24)
    weights = window_weights(inputs.train.parts, verdicts_of(quality), 2.0)
    assert weights.dtype == np.float32
    # Episodes are equally long.
    np.testing.assert_allclose(weights, quality**2 / np.mean(quality**2), rtol=NEAR)


def test_without_an_exponent_there_are_no_weights_and_no_file_is_read(inputs, tmp_path):
    assert window_weights(inputs.train.parts, tmp_path / "absent", 0.0) is None


@pytest.mark.parametrize("quality", [[np.nan] * 24, [0.0] * 24, [0.0, np.nan] * 12])
def test_weights_that_nothing_says_are_refused(inputs, verdicts_of, quality):
    with pytest.raises(RecordError, match=r"no training episode has a quality above 0.*quality_weight to 0"):
        window_weights(inputs.train.parts, verdicts_of(quality), 1.0)


EPISODES = st.lists(
    st.tuples(st.one_of(st.just(np.nan), st.floats(0, 1)), st.integers(1, 300)), min_size=1, max_size=20
).filter(lambda rows: any(value > 0 for value, _ in rows))


@settings(deadline=None)
@given(episodes=EPISODES, exponent=st.floats(0.01, 1000))
def test_the_mean_over_windows_is_1_and_the_better_counts_more(episodes, exponent):
    quality, windows = np.array([value for value, _ in episodes]), np.array([count for _, count in episodes])
    weights = powers(quality, windows, exponent)
    assert np.isfinite(weights).all()
    assert np.average(weights.astype(np.float64), weights=windows) == pytest.approx(1.0, abs=NEAR)
    assert (weights[np.isnan(quality)] == 1).all()
    known = weights[~np.isnan(quality)]
    assert (np.diff(known[np.argsort(quality[~np.isnan(quality)])]) >= 0).all()


def test_each_window_of_a_batch_bears_the_weight_of_its_episode(inputs, opened):
    loader, weights = opened(inputs.train, seed=2), np.arange(24, dtype=np.float32)
    batch, raw = Windows(loader, inputs.transforms, weights=weights).tensors(3, 50), loader.batch(3, 50)
    assert batch["weight"].tolist() == raw["episode"].tolist()
    assert len(set(raw["episode"])) > 5
    assert "weight" not in Windows(loader, inputs.transforms).tensors(3, 50)


def test_equal_weights_change_no_byte_and_others_change_the_policy(inputs, params, tmp_path):
    def digest(name: str, weights: np.ndarray | None) -> str:
        return train_one(Job("seed-1", 1, 4), replace(inputs, weights=weights), params, tmp_path / name).digest

    plain = digest("plain", None)
    assert digest("equal", np.ones(24, np.float32)) == plain
    assert digest("other", np.linspace(0, 2, 24, dtype=np.float32)) != plain


def test_validation_is_not_weighted(inputs, params, tmp_path):
    weighted = replace(inputs, weights=np.full(24, 3.0, np.float32))
    losses = [
        train_one(Job("untrained", 1, 0), used, params, tmp_path / name).validations[-1]["val_loss"]
        for name, used in (("plain", inputs), ("weighted", weighted))
    ]
    assert losses[0] == losses[1]
