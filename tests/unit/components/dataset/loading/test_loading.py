from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import DatasetError, ParamsError, UsageError
from components.dataset.frames import EpisodeFrames
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.dataset.parts import Part, part_of, parts_of

SETTINGS = LoaderSettings(chunk=6, run_frames=7, pool_windows=28)
HISTORY = LoaderSettings(chunk=6, history=3, history_stride=4, run_frames=7, pool_windows=28)
FRAMES = 115
Assert = Callable[..., None]


@pytest.mark.parametrize("settings", [SETTINGS, HISTORY], ids=["now", "history"])
def test_an_epoch_holds_every_window_once_as_it_was_recorded(
    parts: list[Part], settings: LoaderSettings, assert_windows: Assert
) -> None:
    with Loader(parts, settings, seed=1) as loader:
        batch = loader.batch(0, len(loader))
        assert_windows(loader, batch)
        found = sorted(zip(batch["episode"].tolist(), batch["frame"].tolist(), strict=True))
        assert found == [(row, frame) for row, length in enumerate(loader.episodes.length) for frame in range(length)]


def test_a_batch_holds_what_it_says(parts: list[Part]) -> None:
    with Loader(parts, HISTORY, seed=1) as loader:
        batch = loader.batch(3, 5)
        assert loader.cameras == ("fixed", "wrist")
    assert {name: (values.shape, values.dtype.name) for name, values in batch.items()} == {
        "images": ((5, 3, 2, 32, 32, 3), "uint8"),
        "state": ((5, 3, 4), "float32"),
        "actions": ((5, 6, 4), "float32"),
        "actions_is_pad": ((5, 6), "bool"),
        "history_is_pad": ((5, 3), "bool"),
        "instruction": ((5,), "int64"),
        "episode": ((5,), "int64"),
        "frame": ((5,), "int64"),
        "source": ((5,), "int64"),
        "image_mask": ((5, 2), "bool"),
        "state_mask": ((5, 4), "bool"),
        "action_mask": ((5, 4), "bool"),
    }
    assert all(batch[name].all() for name in ("image_mask", "state_mask", "action_mask"))


def test_episodes_lie_in_order_of_their_ids_with_their_instructions(
    parts: list[Part], episodes: list[EpisodeFrames]
) -> None:
    ordered = sorted(episodes, key=lambda episode: episode.episode_id)
    with Loader(parts, SETTINGS, seed=1, shuffle=False) as loader:
        batch = loader.batch(0, len(loader))
        words = [loader.instructions[number] for number in batch["instruction"]]
    assert words == [episode.instruction for episode in ordered for _ in range(len(episode))]
    np.testing.assert_array_equal(batch["state"], np.concatenate([episode.state for episode in ordered]))


def test_batches_are_the_same_whatever_their_size_the_threads_and_the_way_there(
    parts: list[Part], assert_batches_equal: Assert
) -> None:
    with Loader(parts, SETTINGS, seed=5) as loader:
        whole = loader.batch(0, 300)
    changes: list[dict[str, Any]] = [{"threads": 1}, {"threads": 7}]
    for change in changes:
        settings = LoaderSettings(chunk=6, run_frames=7, pool_windows=28, **change)
        with Loader(parts, settings, seed=5) as loader:
            for position in (250, 0, 41, 42, 290, 288):
                part = {name: values[position : position + 9] for name, values in whole.items()}
                assert_batches_equal(part, loader.batch(position, 9))


def test_a_saved_position_goes_on_exactly(parts: list[Part], assert_batches_equal: Assert) -> None:
    with Loader(parts, SETTINGS, seed=2) as loader:
        batches = loader.batches(0, 13)
        for _ in range(11):
            next(batches)
        state, expected = loader.state(), next(batches)
    with Loader(parts, SETTINGS, seed=2) as loader:
        position = loader.restore(state)
        assert position == loader.position == 143
        assert_batches_equal(expected, next(loader.batches(position, 13)))


def test_a_position_in_another_row_of_windows_is_refused(parts: list[Part]) -> None:
    with Loader(parts, SETTINGS, seed=2) as loader:
        state = loader.state()
    others: list[tuple[str, list[Part], dict[str, Any]]] = [
        ("seed is 3, it was 2", parts, {"seed": 3}),
        ("world is 2, it was 1", parts, {"seed": 2, "world": 2}),
        ("shuffle is False, it was True", parts, {"seed": 2, "shuffle": False}),
        ("weights is", parts, {"seed": 2, "weights": [1.0]}),
        ("episodes is", [part_of(parts[0].dataset, [0, 1, 2])], {"seed": 2}),
    ]
    for message, other, arguments in others:
        with Loader(other, SETTINGS, **arguments) as loader, pytest.raises(DatasetError, match=message):
            loader.restore(state)


def test_ranks_share_an_epoch(parts: list[Part]) -> None:
    seen: list[tuple[int, int]] = []
    for rank in range(3):
        with Loader(parts, SETTINGS, seed=4, rank=rank, world=3) as loader:
            # In three epochs every rank gets as many windows as one epoch has.
            batch = loader.batch(0, FRAMES)
        seen += zip(batch["episode"].tolist(), batch["frame"].tolist(), strict=True)
    assert len(seen) == 3 * FRAMES
    counts = np.unique(np.array(seen), axis=0, return_counts=True)[1]
    assert (counts == 3).all()


def test_a_dataset_built_in_another_order_gives_the_same_batches(
    parts: list[Part],
    tmp_path: Path,
    episodes: list[EpisodeFrames],
    write_tree: Callable[..., str],
    assert_batches_equal: Assert,
) -> None:
    write_tree(tmp_path / "tree", episodes[::-1])
    with (
        Loader(parts, HISTORY, seed=1) as left,
        Loader(parts_of(tmp_path / "tree"), HISTORY, seed=1) as right,
    ):
        assert_batches_equal(left.batch(20, 60), right.batch(20, 60))
        assert left.state() == right.state()


def test_a_sample_is_its_window(parts: list[Part], assert_windows: Assert) -> None:
    with Loader(parts, HISTORY, seed=1) as loader:
        for window in (0, 1, 60, FRAMES - 1):
            row, frame = loader.episodes.place(window)
            sample = {name: values[None] for name, values in loader.sample(window).items()}
            assert (sample["episode"][0], sample["frame"][0]) == (row, frame)
            assert_windows(loader, sample)
        with pytest.raises(UsageError, match="no window 115; there are 115"):
            loader.sample(FRAMES)


def test_only_the_chosen_episodes_come(parts: list[Part], episodes: list[EpisodeFrames]) -> None:
    with Loader([part_of(parts[0].dataset, [3, 1, 3])], SETTINGS, seed=1) as loader:
        assert len(loader) == len(episodes[3]) + len(episodes[1])
        assert loader.instructions == ("press the button",)
        assert set(loader.batch(0, len(loader))["episode"].tolist()) == {0, 1}


def test_a_damaged_video_is_named_and_nothing_hangs(own_tree: Path, tree: Path, assert_windows: Assert) -> None:
    (path,) = own_tree.glob("videos/observation.images.wrist/*/*.mp4")
    data = bytearray(path.read_bytes())
    data[2000:6000] = bytes(4000)
    path.write_bytes(bytes(data))
    before = threading.active_count()
    with Loader(parts_of(own_tree), SETTINGS, seed=1) as loader:
        with pytest.raises(DatasetError, match=r"file-000.mp4: episode \d, camera 'wrist': .*Restore the file"):
            loader.batch(0, FRAMES)
        path.write_bytes(next(tree.glob("videos/observation.images.wrist/*/*.mp4")).read_bytes())
        # Once it is mended, the same loader goes on.
        assert_windows(loader, loader.batch(0, 10))
    assert threading.active_count() == before


def test_a_missing_video_is_named(own_tree: Path) -> None:
    loaded = parts_of(own_tree)
    next(own_tree.glob("videos/observation.images.fixed/*/*.mp4")).unlink()
    with Loader(loaded, SETTINGS, seed=1) as loader, pytest.raises(DatasetError, match=r"file-000.mp4: .*'fixed'"):
        loader.batch(0, 1)


def test_a_closed_loader_says_so(parts: list[Part]) -> None:
    loader = Loader(parts, SETTINGS, seed=1)
    loader.close()
    loader.close()
    for act in (lambda: loader.batch(0, 1), lambda: loader.sample(0)):
        with pytest.raises(UsageError, match="the loader is closed"):
            act()


def test_threads_may_ask_at_once(parts: list[Part], assert_batches_equal: Assert) -> None:
    with Loader(parts, SETTINGS, seed=1) as loader, ThreadPoolExecutor(4) as executor:
        positions = [0, 90, 30, 200, 60, 0]
        found = list(executor.map(lambda position: loader.batch(position, 8), positions))
        for position, batch in zip(positions, found, strict=True):
            assert_batches_equal(loader.batch(position, 8), batch)


def test_what_cannot_be_loaded_is_refused(parts: list[Part]) -> None:
    with pytest.raises(DatasetError, match="no dataset to load"):
        Loader([], SETTINGS, seed=1)
    with pytest.raises(ParamsError, match="rank 2 of 2"):
        Loader(parts, SETTINGS, seed=1, rank=2, world=2)
    with pytest.raises(ParamsError, match="chunk is 0, expected at least 1"):
        LoaderSettings(chunk=0)
    with pytest.raises(ParamsError, match="pool_windows is 8, less than the 16 of run_frames"):
        LoaderSettings(chunk=1, run_frames=16, pool_windows=8)
    with pytest.raises(UsageError, match="weights without shuffle"):
        Loader(parts, SETTINGS, seed=1, weights=[1.0], shuffle=False)
    with Loader(parts, SETTINGS, seed=1) as loader, pytest.raises(UsageError, match="a batch of 0 windows"):
        loader.batch(0, 0)
