from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.train.augment import Augmentation
from components.train.data import TrainingStream, Windows
from components.train.paraphrase import Phrasings

NONE = Augmentation(0, 0.0, 0.0, 0.0)
# (dataset, task, instruction)
EPISODES = [(0, "open", 0), (0, "open", 1), (0, "open", 2), (0, "close", 3), (0, "", 4), (0, "", 0), (1, "open", 5)]
SAME = {0: {0, 1, 2}, 1: {0, 1, 2}, 2: {0, 1, 2}, 3: {3}, 4: {4}, 5: {0}, 6: {5}}


def _episodes() -> SimpleNamespace:
    parts = []
    for source in (0, 1):
        tasks = [task for of, task, _ in EPISODES if of == source]
        dataset = SimpleNamespace(table=lambda columns, tasks=tasks: pa.table({"task": pa.array(tasks)}))
        parts.append(SimpleNamespace(dataset=dataset, rows=np.arange(len(tasks))))
    return SimpleNamespace(parts=parts, instruction=np.array([told for _, _, told in EPISODES], np.int64))


@given(st.lists(st.integers(0, len(EPISODES) - 1), min_size=1, max_size=40), st.integers(0, 99), st.floats(0, 1))
def test_other_words_are_always_those_of_the_same_task(rows, seed, share):
    episode = np.array(rows)
    told = _episodes().instruction[episode]
    found = Phrasings(_episodes(), share).draw(told, episode, np.random.default_rng(seed))
    assert all(new in SAME[row] for new, row in zip(found.tolist(), rows, strict=True))


def test_the_share_is_the_share_and_each_phrasing_comes_as_often():
    episode = np.zeros(20_000, np.int64)
    found = Phrasings(_episodes(), 0.4).draw(episode, episode, np.random.default_rng(1))
    counts = np.bincount(found, minlength=3) / len(found)
    assert counts == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_a_window_is_told_otherwise_by_seed_and_step_alone(inputs, opened):
    def stream(share: float, seed: int = 1) -> TrainingStream:
        loader = opened(inputs.train, seed=1)
        phrasings = Phrasings(loader.episodes, share) if share else None
        windows = Windows(loader, inputs.transforms, phrasings=phrasings)
        return TrainingStream(windows, NONE, seed=seed, steps=20, batch_size=16)

    plain, some, again, other = (one.batch(3) for one in (stream(0), stream(0.5), stream(0.5), stream(0.5, seed=2)))
    assert torch.equal(some["tokens"], again["tokens"])
    assert not torch.equal(some["tokens"], other["tokens"])
    changed = (some["tokens"] != plain["tokens"]).any(1)
    assert 0 < changed.sum() < 16
    assert all(torch.equal(plain[name], some[name]) for name in plain if name != "tokens")
    every = stream(1.0).batch(3)
    # Two ways to say the one task: all are told in the other.
    assert (every["tokens"] != plain["tokens"]).any(1).all()
