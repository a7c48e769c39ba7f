from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.dataset.loading import cache_room
from components.dataset.loading.cache import CacheFolder, key_of
from components.dataset.loading.choose import Choice, choose
from components.dataset.loading.decoded import decoded_bytes
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.dataset.loading.video_source import VideoSource
from components.dataset.parts import Part, part_of

SETTINGS = LoaderSettings(chunk=6, history=2, history_stride=3, run_frames=7, pool_windows=28)
PICTURES = 115 * 2 * 32 * 32 * 3
NEEDED = PICTURES + 115 * 8 * 4
PLENTY = 10 * NEEDED
Assert = Callable[..., None]


def cached(folder: Path, limit_bytes: int = PLENTY, reserve_bytes: int = 0) -> Choice:
    return Choice("cache", "asked for", NEEDED, CacheFolder(folder, limit_bytes, reserve_bytes))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fill(folder: Path, part: Part, limit_bytes: int = PLENTY) -> None:
    cache = CacheFolder(folder, limit_bytes, 0)
    cache.open(part, 1)
    cache.close()


@pytest.fixture
def halves(parts: list[Part]) -> list[Part]:
    """Three parts of one dataset whose entries are of about the same size."""
    return [part_of(parts[0].dataset, numbers) for numbers in ([0, 1], [1, 2], [0, 2])]


def test_memory_cache_and_video_give_the_same_bytes(
    parts: list[Part], tmp_path: Path, assert_batches_equal: Assert
) -> None:
    with Loader(parts, SETTINGS, seed=1) as loader:
        expected, sample = loader.batch(9, 150), loader.sample(70)
    for choice in (Choice("memory", "asked for", NEEDED), cached(tmp_path), cached(tmp_path)):
        with Loader(parts, SETTINGS, seed=1, choice=choice) as loader:
            assert_batches_equal(expected, loader.batch(9, 150))
            assert_batches_equal(sample, loader.sample(70))


def test_several_parts_come_out_of_their_own_entries(
    parts: list[Part], halves: list[Part], tmp_path: Path, assert_batches_equal: Assert
) -> None:
    mixed = [parts[0], halves[0], halves[1]]
    with Loader(mixed, SETTINGS, seed=1, weights=[1, 2, 1]) as loader:
        expected = loader.batch(0, 200)
    with Loader(mixed, SETTINGS, seed=1, weights=[1, 2, 1], choice=cached(tmp_path)) as loader:
        assert_batches_equal(expected, loader.batch(0, 200))
    assert len(list(tmp_path.glob(f"*/{cache_room.MARK}"))) == 3


def test_a_cache_is_built_once_and_says_so(
    parts: list[Part], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, logger="components.dataset.loading")
    with Loader(parts, SETTINGS, seed=1, choice=cached(tmp_path)):
        pass
    chosen, built = [record.getMessage() for record in caplog.records]
    assert chosen == "asked for"
    assert re.fullmatch(r"cache of tree: 0\.00071 GB, built in \d+ s", built)
    monkeypatch.setattr("components.dataset.loading.cache.decode_part", lambda *_, **__: pytest.fail("decoded"))
    with Loader(parts, SETTINGS, seed=2, choice=cached(tmp_path)) as loader:
        loader.batch(0, 10)


def test_the_entry_depends_on_frames_and_not_on_their_numbers(
    parts: list[Part], halves: list[Part], tmp_path: Path, episodes: list[object], write_tree: Callable[..., str]
) -> None:
    from components.dataset.parts import parts_of

    write_tree(tmp_path / "tree", episodes[::-1])
    assert key_of(parts_of(tmp_path / "tree")[0]) == key_of(parts[0])
    assert len({key_of(part) for part in [*parts, *halves]}) == 4


def test_a_killed_build_leaves_nothing_that_counts(
    tree: Path, parts: list[Part], tmp_path: Path, project: Path
) -> None:
    program = f"""
import pathlib
import components.dataset.loading.cache as cache
from components.dataset.parts import parts_of
decode = cache.decode_part
def slow(*arguments, **options):
    decode(*arguments, **options)
    pathlib.Path({str(tmp_path / "decoded")!r}).touch()
    import time; time.sleep(60)
cache.decode_part = slow
part = parts_of(pathlib.Path({str(tree)!r}))[0]
cache.CacheFolder(pathlib.Path({str(tmp_path / "cache")!r}), {PLENTY}, 0).open(part, 1)
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=project)
    while not (tmp_path / "decoded").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    cache = CacheFolder(tmp_path / "cache", PLENTY, 0)
    assert size_of(tmp_path / "cache") > PICTURES
    assert not cache.has(parts[0])
    # Another entry makes room by removing what is left of the killed one.
    fill(tmp_path / "cache", part_of(parts[0].dataset, [0]))
    assert size_of(tmp_path / "cache") < PICTURES
    cache.open(parts[0], 1)
    cache.close()
    assert cache.has(parts[0])


def test_an_error_while_building_leaves_nothing(
    parts: list[Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatasetError("the video broke")

    monkeypatch.setattr("components.dataset.loading.cache.decode_part", fail)
    with pytest.raises(DatasetError, match="the video broke"):
        Loader(parts, SETTINGS, seed=1, choice=cached(tmp_path))
    assert size_of(tmp_path) == 0


def test_the_entry_used_longest_ago_goes_first(halves: list[Part], tmp_path: Path) -> None:
    limit = max(decoded_bytes(part) for part in halves) * 5 // 2
    for part in halves[:2]:
        fill(tmp_path, part, limit)
    fill(tmp_path, halves[0], limit)  # used again
    fill(tmp_path, halves[2], limit)
    cache = CacheFolder(tmp_path, limit, 0)
    assert [cache.has(part) for part in halves] == [True, False, True]
    assert size_of(tmp_path) <= limit


def test_an_entry_that_is_read_is_not_removed(halves: list[Part], tmp_path: Path) -> None:
    limit = max(decoded_bytes(part) for part in halves) * 3 // 2
    reader = CacheFolder(tmp_path, limit, 0)
    images = reader.open(halves[0], 1).images
    with pytest.raises(DatasetError, match=r"does not fit: .* are in use.* Raise the bound"):
        CacheFolder(tmp_path, limit, 0).open(halves[1], 1)
    assert reader.has(halves[0])
    assert images.any()
    reader.close()
    fill(tmp_path, halves[1], limit)
    assert not reader.has(halves[0])


def test_loaders_of_one_choice_hold_their_entries_each(parts: list[Part], halves: list[Part], tmp_path: Path) -> None:
    choice = cached(tmp_path, NEEDED + 100_000)
    with Loader(parts, SETTINGS, seed=1, choice=choice):
        with Loader(parts, SETTINGS, seed=2, choice=choice):
            pass
        with pytest.raises(DatasetError, match="does not fit"):
            CacheFolder(tmp_path, NEEDED + 100_000, 0).open(halves[0], 1)


def test_the_reserve_of_the_disk_is_left_free(parts: list[Part], tmp_path: Path) -> None:
    reserve = shutil.disk_usage(tmp_path).total
    with pytest.raises(DatasetError, match="the disk has 0 GB left beyond its reserve"):
        CacheFolder(tmp_path, PLENTY, reserve).open(parts[0], 1)
    assert size_of(tmp_path) == 0


@pytest.mark.parametrize("harm", ["short", "gone", "other"])
def test_a_broken_entry_is_built_again(
    parts: list[Part], tmp_path: Path, harm: str, assert_batches_equal: Assert
) -> None:
    fill(tmp_path, parts[0])
    images = tmp_path / key_of(parts[0]) / "images.npy"
    if harm == "short":
        os.truncate(images, 5000)
    elif harm == "gone":
        images.unlink()
    else:
        np.save(images, np.zeros((3, 2), np.uint8))
    with Loader(parts, SETTINGS, seed=1) as video, Loader(parts, SETTINGS, seed=1, choice=cached(tmp_path)) as loader:
        assert_batches_equal(video.batch(0, 40), loader.batch(0, 40))


def test_two_processes_build_one_entry_once(tree: Path, parts: list[Part], tmp_path: Path, project: Path) -> None:
    program = f"""
import pathlib, logging
from components.dataset.loading.cache import CacheFolder
from components.dataset.parts import parts_of
logging.basicConfig(level=logging.INFO, format="%(message)s")
decoded = CacheFolder(pathlib.Path({str(tmp_path)!r}), {PLENTY}, 0).open(parts_of(pathlib.Path({str(tree)!r}))[0], 1)
print(int(decoded.images.sum()))
"""
    command = [sys.executable, "-c", program]
    children = [subprocess.Popen(command, cwd=project, stdout=-1, stderr=-1, text=True) for _ in range(3)]
    outputs = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len({out for out, _ in outputs}) == 1
    assert sum("built in" in log for _, log in outputs) == 1


def test_the_cheapest_source_is_chosen_and_why(parts: list[Part], tmp_path: Path) -> None:
    def chosen(
        folder: Path | None = tmp_path, limit: int = PLENTY, epochs: float = 20, memory: int = 0
    ) -> tuple[str, str]:
        choice = choose(parts, folder, limit_bytes=limit, epochs=epochs, memory_bytes=memory)
        assert choice.bytes_needed == NEEDED
        return choice.kind, choice.reason

    assert chosen() == ("cache", "builds a cache of 710 kB: 20 epochs to come")
    assert chosen(memory=NEEDED) == ("memory", "keeps 710 kB in memory: 20 epochs to come")
    assert chosen(memory=NEEDED - 1)[0] == "cache"
    assert chosen(epochs=0.5) == ("video", "decodes video: 0.5 epochs to come cost less than to keep 710 kB")
    assert chosen(limit=NEEDED // 2) == ("video", "decodes video: 710 kB would not fit the 355 kB bound")
    assert chosen(None) == ("video", "decodes video: 710 kB would not fit 0 kB of memory, no cache")
    fill(tmp_path, parts[0])
    assert chosen(epochs=0.5) == ("cache", "reads from the cache: 710 kB, there already")


def test_a_choice_opens_what_it_says(parts: list[Part], tmp_path: Path) -> None:
    video = choose(parts, tmp_path, limit_bytes=0, epochs=20)
    with Loader(parts, SETTINGS, seed=1, choice=video) as loader:
        assert isinstance(loader._source, VideoSource)
    assert not list(tmp_path.iterdir())
