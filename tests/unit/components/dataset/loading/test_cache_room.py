from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.core.errors import DatasetError
from components.core.files import write_json
from components.dataset.loading.cache import CacheFolder, entry_bytes, key_of
from components.dataset.loading.cache_room import MARK, NotKept, Room, folder_lock, key_lock, purge
from components.dataset.loading.choose import choose
from components.dataset.loading.columns import ColumnsCache
from components.dataset.loading.episodes import EpisodeList
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.dataset.loading.video_source import VideoSource
from components.dataset.parts import Part, part_of, parts_of

SETTINGS = LoaderSettings(chunk=6, run_frames=7, pool_windows=28)
SIZE = 10_000
Assert = Callable[..., None]


def put(root: Path, name: str, digest: str = "d", size: int = SIZE) -> Path:
    entry = root / name
    entry.mkdir(parents=True)
    (entry / "images.npy").write_bytes(bytes(size))
    write_json(entry / MARK, {"dataset": digest, "episodes": 1})
    return entry


def made(root: Path, limit_bytes: int, needed: int) -> None:
    with folder_lock(root):
        Room(root, limit_bytes, 0).make(needed)


@pytest.fixture
def halves(parts: list[Part]) -> list[Part]:
    return [part_of(parts[0].dataset, numbers) for numbers in ([0, 1], [2], [3])]


def test_what_a_killed_build_left_does_not_count_against_a_new_one(tmp_path: Path) -> None:
    put(tmp_path, ".gone.partial-abc")
    assert Room(tmp_path, SIZE, 0).largest_bytes() == SIZE
    assert not list(tmp_path.glob(".gone.partial-*"))
    put(tmp_path, ".busy.partial-abc")
    with key_lock(tmp_path, "busy"):
        assert Room(tmp_path, 2 * SIZE, 0).largest_bytes() < SIZE
        made(tmp_path, 3 * SIZE, SIZE)
    assert (tmp_path / ".busy.partial-abc").is_dir()


def test_no_entry_goes_for_one_that_does_not_fit_in_the_end(halves: list[Part], tmp_path: Path) -> None:
    reader = CacheFolder(tmp_path, 1 << 30, 0)
    reader.open(halves[0], 1)
    old = put(tmp_path, "old")
    with pytest.raises(NotKept, match="does not fit"):
        made(tmp_path, entry_bytes(halves[0]), 2 * SIZE)
    assert old.is_dir()
    made(tmp_path, entry_bytes(halves[0]), SIZE)
    assert not old.is_dir()
    assert reader.has(halves[0])


def test_a_choice_counts_what_a_build_takes(parts: list[Part], tmp_path: Path) -> None:
    limit = entry_bytes(parts[0])
    assert choose(parts, tmp_path, limit_bytes=limit - 1, epochs=20).kind == "video"
    with Loader(parts, SETTINGS, seed=1, choice=choose(parts, tmp_path, limit_bytes=limit, epochs=20)) as loader:
        loader.batch(0, 1)
    assert CacheFolder(tmp_path, limit).has(parts[0])


def test_no_part_has_to_go_for_another_of_the_same_choice(halves: list[Part], tmp_path: Path) -> None:
    parts = [halves[0], halves[1]]
    CacheFolder(tmp_path, 1 << 30, 0).open(halves[1], 1)
    both = sum(map(entry_bytes, parts))
    assert choose(parts, tmp_path, limit_bytes=both - SIZE, epochs=20).kind == "cache"
    choice = choose(parts, tmp_path, limit_bytes=entry_bytes(halves[0]), epochs=20)
    assert (choice.kind, "that are free" in choice.reason) == ("video", True)
    # Used longest ago, yet needed: it is held before room is made.
    other = put(tmp_path, "other", size=entry_bytes(halves[0]))
    CacheFolder(tmp_path, both, 0).open_all(parts, 1)
    assert not other.exists()
    assert all(CacheFolder(tmp_path, both).has(part) for part in parts)


@pytest.mark.parametrize("built", [True, False])
def test_a_loader_without_its_entry_decodes_video_and_says_so(
    parts: list[Part],
    halves: list[Part],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    assert_batches_equal: Assert,
    built: bool,
) -> None:
    limit = entry_bytes(parts[0])
    choice = choose(parts, tmp_path, limit_bytes=limit, epochs=20)
    if built:
        choice = choice.build(parts, 1)
        shutil.rmtree(tmp_path / key_of(parts[0]))
    else:
        other = CacheFolder(tmp_path, limit)
        other.open(halves[0], 1)
    with Loader(parts, SETTINGS, seed=1) as video, Loader(parts, SETTINGS, seed=1, choice=choice) as loader:
        assert_batches_equal(video.batch(3, 60), loader.batch(3, 60))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("decodes video instead of reading the cache: ")
    assert ("the entry has gone" if built else "does not fit") in warning


def test_a_choice_that_finds_no_room_to_build_is_video(
    parts: list[Part], halves: list[Part], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limit = entry_bytes(parts[0])
    choice = choose(parts, tmp_path, limit_bytes=limit, epochs=20)
    other = CacheFolder(tmp_path, limit)
    other.open(halves[0], 1)
    built = choice.build(parts, 1)
    assert (choice.kind, built.kind) == ("cache", "video")
    assert "does not fit" in built.reason
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [built.reason]


def test_a_built_choice_holds_its_entries_while_it_is_there(halves: list[Part], tmp_path: Path) -> None:
    limit = entry_bytes(halves[0])
    choice = choose(halves[:1], tmp_path, limit_bytes=limit, epochs=20).build(halves[:1], 1)
    with pytest.raises(NotKept, match="does not fit"):
        CacheFolder(tmp_path, limit).open(halves[1], 1)
    assert choice.built
    del choice
    CacheFolder(tmp_path, limit).open(halves[1], 1)


def test_entries_may_go_while_their_bytes_are_counted(tmp_path: Path) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for number in range(20):
                put(tmp_path, f"e{number}", size=1)
            for number in range(20):
                (tmp_path / f"e{number}").rename(tmp_path / f".e{number}")
                shutil.rmtree(tmp_path / f".e{number}")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            assert Room(tmp_path, SIZE, 0).largest_bytes() <= SIZE
    finally:
        stop.set()
        thread.join()


def test_a_purge_removes_the_frames_of_one_dataset(parts: list[Part], halves: list[Part], tmp_path: Path) -> None:
    assert purge(tmp_path / "none", "d") == []
    digest = parts[0].dataset.digest
    reader = CacheFolder(tmp_path, 1 << 30, 0)
    reader.open(halves[0], 1)
    CacheFolder(tmp_path, 1 << 30, 0).open(halves[1], 1)
    others = [put(tmp_path, "other", "e" * 64), put(tmp_path, ".half.partial-x", "e" * 64)]
    unknown = put(tmp_path, "unknown")
    (unknown / MARK).write_text("{")
    building, killed = put(tmp_path, ".busy.partial-x", digest), put(tmp_path, ".dead.partial-x", digest)
    with key_lock(tmp_path, "busy"), key_lock(tmp_path, "half"):
        assert purge(tmp_path, digest) == [building, tmp_path / key_of(halves[0])]
    assert [path.exists() for path in (*others, unknown, killed)] == [True, True, False, False]
    assert not reader.has(halves[1])
    reader.close()
    assert purge(tmp_path, digest) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["other"]


def test_a_half_built_entry_says_whose_frames_it_holds(
    parts: list[Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Path] = []

    def purge_meanwhile(*_: object, **__: object) -> None:
        left.extend(purge(tmp_path, parts[0].dataset.digest))

    monkeypatch.setattr("components.dataset.loading.cache.decode_part", purge_meanwhile)
    CacheFolder(tmp_path, 1 << 30, 0).open(parts[0], 1)
    assert [path.name.split(".partial-")[0] for path in left] == [f".{key_of(parts[0])}"]


def test_columns_that_are_kept_do_not_keep_what_they_were_cut_from(parts: list[Part]) -> None:
    episodes = EpisodeList(parts)
    kept = ColumnsCache(episodes)
    kept.columns(0)
    before = pa.total_allocated_bytes()
    columns = [kept.columns(row) for row in range(len(episodes))]
    assert pa.total_allocated_bytes() == before
    for (state, action), index in zip(columns, episodes.index.tolist(), strict=True):
        frames = parts[0].dataset.frames(index)
        np.testing.assert_array_equal(state, frames["observation.state"])
        np.testing.assert_array_equal(action, frames["action"])


def test_a_sample_that_fails_lets_go_of_its_memory(own_tree: Path) -> None:
    loaded = parts_of(own_tree)
    next(own_tree.glob("videos/observation.images.fixed/*/*.mp4")).unlink()
    with Loader(loaded, SETTINGS, seed=1) as loader:
        with pytest.raises(DatasetError, match="'fixed'"):
            loader.sample(0)
        assert isinstance(loader._source, VideoSource)
        assert not loader._source._images
