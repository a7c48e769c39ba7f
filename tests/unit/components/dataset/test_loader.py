from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import DatasetError
from components.dataset.frames import EpisodeFrames
from components.dataset.loader import WindowStore, window_order
from components.dataset.reader import Dataset

CHUNK = 6


@pytest.fixture(scope="module")
def store(tree: Path) -> WindowStore:
    return WindowStore.build(Dataset.open(tree), range(5), CHUNK, progress=False)


def test_every_frame_is_a_window_in_order_of_episode_id(store: WindowStore, episodes: list[EpisodeFrames]) -> None:
    ordered = sorted(episodes, key=lambda episode: episode.episode_id)
    assert len(store) == sum(len(episode) for episode in episodes)
    assert store.episodes["episode_id"].tolist() == [episode.episode_id for episode in ordered]
    batch = store.batch(np.arange(len(store)))
    np.testing.assert_array_equal(batch["state"], np.concatenate([episode.state for episode in ordered]))
    words = [store.instructions[index] for index in batch["instruction"]]
    assert words == [episode.instruction for episode in ordered for _ in range(len(episode))]


def test_images_are_the_decoded_frames_in_camera_order(store: WindowStore, tree: Path) -> None:
    dataset = Dataset.open(tree)
    index = int(store.episodes["episode_index"][0])
    length = int(store.episodes["length"][0])
    images = store.batch(np.arange(length))["images"]
    assert images.dtype == np.uint8
    for number, camera in enumerate(("fixed", "wrist")):
        np.testing.assert_array_equal(images[:, number], dataset.images(index, camera))


def test_chunks_look_ahead_and_stop_at_the_end_of_their_episode(
    store: WindowStore, episodes: list[EpisodeFrames]
) -> None:
    by_id = {episode.episode_id: episode for episode in episodes}
    start = 0
    for identity in store.episodes["episode_id"]:
        action = by_id[identity].action
        batch = store.batch(np.arange(start, start + len(action)))
        for tick in range(len(action)):
            ahead = action[tick : tick + CHUNK]
            missing = CHUNK - len(ahead)
            expected = np.concatenate([ahead, np.repeat(action[-1:], missing, axis=0)])
            np.testing.assert_array_equal(batch["actions"][tick], expected)
            assert batch["actions_is_pad"][tick].tolist() == [False] * len(ahead) + [True] * missing
        start += len(action)


def test_a_batch_holds_what_it_says(store: WindowStore) -> None:
    batch = store.batch([0, 5, 5, 114])
    assert {name: (value.shape, value.dtype.name) for name, value in batch.items()} == {
        "images": ((4, 2, 32, 32, 3), "uint8"),
        "state": ((4, 4), "float32"),
        "actions": ((4, CHUNK, 4), "float32"),
        "actions_is_pad": ((4, CHUNK), "bool"),
        "instruction": ((4,), "int64"),
        "episode": ((4,), "int64"),
    }
    assert store.nbytes == 115 * (2 * 32 * 32 * 3 + 8 * 4)
    assert store.batch([114])["episode"].tolist() == [4]
    assert store.batch([114])["actions_is_pad"].tolist() == [[False] + [True] * (CHUNK - 1)]


def test_a_dataset_built_in_another_order_trains_alike(
    store: WindowStore, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    write_tree(tmp_path, episodes[::-1])
    other = WindowStore.build(Dataset.open(tmp_path), [4, 2, 0, 1, 3], CHUNK, progress=False)
    order = store.order(seed=1, epoch=0)
    left, right = store.batch(order), other.batch(other.order(seed=1, epoch=0))
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def test_only_the_chosen_episodes_are_decoded(tree: Path, episodes: list[EpisodeFrames]) -> None:
    store = WindowStore.build(Dataset.open(tree), [3, 1, 3], 2, progress=False)
    assert len(store) == len(episodes[3]) + len(episodes[1])
    assert store.instructions == ("press the button",)


@given(st.integers(0, 500), st.integers(0, 2**31), st.integers(0, 10_000))
def test_an_order_is_a_permutation_and_depends_on_nothing_else(count: int, seed: int, epoch: int) -> None:
    order = window_order(count, seed, epoch)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, window_order(count, seed, epoch))


def test_epochs_and_seeds_shuffle_differently() -> None:
    orders = {tuple(window_order(100, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_is_the_same_in_every_version() -> None:
    assert window_order(8, 1, 0).tolist() == [5, 0, 1, 4, 2, 6, 3, 7]


def test_too_much_for_the_memory_is_refused_before_decoding(
    tree: Path, monkeypatch: pytest.MonkeyPatch, store: WindowStore
) -> None:
    dataset = Dataset.open(tree)
    monkeypatch.setattr(Dataset, "images", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DatasetError, match=r"115 frames need 0.7 MiB, the limit is 0.7 MiB. Choose fewer episodes"):
        WindowStore.build(dataset, range(5), CHUNK, memory_limit_bytes=store.nbytes - 1, progress=False)


def test_the_memory_estimate_is_what_is_used(tree: Path, store: WindowStore) -> None:
    again = WindowStore.build(Dataset.open(tree), range(5), CHUNK, memory_limit_bytes=store.nbytes, progress=False)
    assert again.nbytes == store.nbytes


def test_nothing_to_train_on_is_refused(tree: Path) -> None:
    with pytest.raises(DatasetError, match="no episode to train on"):
        WindowStore.build(Dataset.open(tree), [], CHUNK, progress=False)
    with pytest.raises(DatasetError, match="chunk is 0, expected at least 1"):
        WindowStore.build(Dataset.open(tree), [0], 0, progress=False)
