from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import ContractError, UsageError
from components.transforms.ensemble import TemporalEnsemble


def offline(chunks: np.ndarray, step: int, coefficient: float) -> np.ndarray:
    """The published formula over all chunks [T, H, A] that have been answered by `step`."""
    first = max(0, step - chunks.shape[1] + 1)
    said = np.stack([chunks[asked, step - asked] for asked in range(first, step + 1)])
    weights = np.exp(-coefficient * np.arange(len(said)))
    return (weights[:, None] * said).sum(axis=0) / weights.sum()


@given(st.integers(1, 12), st.integers(1, 30), st.floats(-0.5, 0.5), st.integers(0, 2**32 - 1))
def test_equals_the_offline_formula(chunk: int, steps: int, coefficient: float, seed: int) -> None:
    chunks = np.random.default_rng(seed).normal(size=(steps, chunk, 3))
    ensemble = TemporalEnsemble(chunk, coefficient)
    for step in range(steps):
        np.testing.assert_allclose(ensemble.update(chunks[step]), offline(chunks, step, coefficient), atol=1e-9)


def test_the_oldest_counts_most() -> None:
    ensemble = TemporalEnsemble(2)
    ensemble.update(np.array([[0.0], [1.0]]))
    assert ensemble.update(np.array([[0.0], [0.0]])).item() == pytest.approx(1.0 / (1.0 + np.exp(-0.01)))


def test_a_new_episode_forgets_the_last() -> None:
    ensemble = TemporalEnsemble(3)
    ensemble.update(np.full((3, 2), 9.0))
    ensemble.reset()
    np.testing.assert_array_equal(ensemble.update(np.zeros((3, 2))), np.zeros(2))


def test_agreement_is_kept_in_float32() -> None:
    ensemble = TemporalEnsemble(4)
    for _ in range(10):
        np.testing.assert_allclose(ensemble.update(np.full((4, 1), 0.3, np.float32)), np.float32(0.3), rtol=1e-7)


@pytest.mark.parametrize("actions", [np.zeros(3), np.zeros((2, 4)), np.zeros((4, 3, 1))])
def test_a_chunk_of_another_shape_is_refused(actions: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"expected \[3, A\]"):
        TemporalEnsemble(3).update(actions)


def test_a_chunk_of_another_robot_is_refused() -> None:
    ensemble = TemporalEnsemble(3)
    ensemble.update(np.zeros((3, 4)))
    with pytest.raises(ContractError, match=r"\[3, 5\] after some of \[3, 4\]"):
        ensemble.update(np.zeros((3, 5)))


@pytest.mark.parametrize(("chunk", "coefficient"), [(0, 0.01), (3, float("nan"))])
def test_nonsense_is_refused(chunk: int, coefficient: float) -> None:
    with pytest.raises(UsageError, match="no ensemble"):
        TemporalEnsemble(chunk, coefficient)
