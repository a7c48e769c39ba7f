"""Episodes that are deleted: their bytes are gone, the others do not notice."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.core.errors import DatasetError, UsageError
from components.core.files import digest_json, sha256_file, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import layout
from components.dataset.commit import publish
from components.dataset.deleted import DELETED, OWN_DELETED, OWN_QUARANTINE, read_deleted
from components.dataset.edits.delete import delete, plan_deletion
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.loading.cache import CacheFolder, key_of
from components.dataset.loading.cache_room import MARK
from components.dataset.parts import part_of
from components.dataset.reader import Dataset
from components.dataset.remux import cut_episode
from components.dataset.resume import resume, totals_of
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]
Write = Callable[..., str]
TEMPLATES = [layout.DATA_PATH, layout.STREAMS_PATH]
TEMPLATES += [layout.video_path(layout.image_key(camera)) for camera in ("fixed", "wrist")]
SOURCE = {"sha256": "0" * 64, "format": "mcap"}


def ids_of(episodes: list[EpisodeFrames], *numbers: int) -> list[str]:
    return [episodes[number].episode_id for number in numbers]


def written(root: Path) -> dict[str, tuple[str, int]]:
    """Files that are written once -> sha256 and inode."""
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {
        name: (sha256_file(path), path.stat().st_ino) for name, path in files.items() if layout.is_written_once(name)
    }


def numbers_of(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.table(["episode_id"])["episode_id"].to_pylist(), dataset.indices.tolist(), strict=True))


def packets(root: Path, number: int) -> list[bytes]:
    """Those of a camera that are too long to be there by chance."""
    dataset = Dataset.open(root)
    data = cut_episode(*dataset.video_place(number, "wrist"), dataset.fps)
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size > 100]


def require_like(dataset: Dataset, fresh: Dataset) -> None:
    """Same episodes, bytes of frames included, and same statistics; numbers may differ."""
    dataset.verify()
    assert dataset.digest == fresh.digest
    numbers, others = numbers_of(dataset), numbers_of(fresh)
    assert numbers.keys() == others.keys()
    for name, number in numbers.items():
        own, other = extract(dataset, number), extract(fresh, others[name])
        assert replace(own, videos={}).to_bytes() == replace(other, videos={}).to_bytes()
        assert packets(dataset.root, number) == packets(fresh.root, others[name])
        for camera in dataset.cameras:
            np.testing.assert_array_equal(dataset.images(number, camera), fresh.images(others[name], camera))
    assert (dataset.root / layout.STATS).read_bytes() == (fresh.root / layout.STATS).read_bytes()


@pytest.mark.parametrize("gone", [[0], [2], [4], [1, 3], [0, 1, 2, 3]])
def test_the_rest_is_like_a_fresh_build_of_it(
    own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Write, gone: list[int]
) -> None:
    rest = [number for number in range(5) if number not in gone]
    fresh = tmp_path / "fresh"
    digest = write_tree(fresh, [episodes[number] for number in rest])
    deletion = delete(own_tree, ids_of(episodes, *gone))
    assert deletion.digest == digest
    assert deletion.frames == sum(len(episodes[number]) for number in gone)
    dataset = Dataset.open(own_tree)
    require_like(dataset, Dataset.open(fresh))
    assert dataset.indices.tolist() == rest
    assert dataset.info["total_episodes"] == 5
    assert dataset.info["total_frames"] == sum(len(episodes[number]) for number in rest)
    with pytest.raises(DatasetError, match=f"no episode {gone[0]}"):
        dataset.frames(gone[0])


def holding(root: Path, mark: bytes) -> set[str]:
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and mark in path.read_bytes()
    }


def test_nothing_of_an_episode_is_left(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    name, other = episodes[2].episode_id, packets(own_tree, 3)[0]
    marks = [name.encode(), *packets(own_tree, 2)]
    assert all(holding(own_tree, mark) for mark in marks)
    deletion = delete(own_tree, [name], reason="a face in the picture")
    assert [holding(own_tree, mark) - {OWN_DELETED} for mark in marks] == [set()] * len(marks)
    assert len(holding(own_tree, other)) == 1
    assert all((own_tree / old).exists() == (old == new) for old, new in deletion.replaced.items())
    assert read_deleted(own_tree) == {name: "a face in the picture"}
    assert not list((own_tree / layout.OWN).glob(".*"))
    assert [path.name for path in own_tree.parent.iterdir() if path.name.startswith(".")] == []


def test_files_without_the_episode_keep_bytes_and_place(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    episodes = [make_episode(seed, length=20) for seed in range(8)]
    root = tmp_path / "tree"
    # Two or three episodes a file, and a second set of files.
    write_tree(root, episodes[:5], data_file_mb=0.012, video_file_mb=0.012)
    dataset = Dataset.open(root)
    with resume(root, Video(**dataset.record.attrs["video"])) as writer:
        for episode in episodes[5:]:
            writer.add_frames(episode)
        writer.close()
    before, held = written(root), {name for name in Dataset.open(root).listed if name.startswith(("data/", "videos/"))}
    assert len(held) > 6
    deletion = delete(root, ids_of(episodes, 1))
    after = written(root)
    touched = {name for name in before if after.get(name) != before[name]}
    assert {name for name in touched if name.startswith(("data/", "videos/"))} < held
    assert touched - {
        name for name in touched if name.startswith(("meta/episodes/", f"{layout.OWN}/sketches/"))
    } == set(deletion.replaced)
    dataset = Dataset.open(root)
    dataset.verify()
    for number, episode in enumerate(episodes):
        if number != 1:
            np.testing.assert_array_equal(dataset.frames(number)["action"], episode.action)


def test_a_file_that_would_hold_nothing_goes(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    episodes = [make_episode(seed, length=20) for seed in range(3)]
    root = tmp_path / "tree"
    write_tree(root, episodes, data_file_mb=0.0001, video_file_mb=0.0001)
    deletion = delete(root, ids_of(episodes, 1))
    assert deletion.replaced[layout.DATA_PATH.format(chunk_index=0, file_index=1)] == ""
    names = sorted(path.name for path in (root / "data").rglob("*.parquet"))
    assert names == ["file-000.parquet", "file-002.parquet"]
    Dataset.open(root).verify()


def test_an_episode_alone_in_its_chunk_takes_the_folder_along(
    tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video
) -> None:
    root = tmp_path / "tree"
    with DatasetWriter(root, cell, 20, video) as writer:
        writer.add_frames(make_episode(0))
        writer.close()
    totals = totals_of(Dataset.open(root))
    totals.files = dict.fromkeys(totals.files, layout.CHUNKS_SIZE)
    with DatasetWriter(root, cell, 20, video, totals=totals) as writer:
        writer.add_frames(make_episode(1))
        writer.close()
    assert (root / "data/chunk-001").is_dir()
    delete(root, [make_episode(1).episode_id])
    assert not (root / "data/chunk-001").exists()
    Dataset.open(root).verify()


def test_several_in_one_file_rewrite_it_once(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    deletion = delete(own_tree, ids_of(episodes, 0, 3))
    first, second = ([template.format(chunk_index=0, file_index=number) for template in TEMPLATES] for number in (0, 1))
    # Tables keep their names, videos do not.
    assert deletion.replaced == dict(zip(first, first[:2] + second[2:], strict=True))
    assert {name for name in written(own_tree) if name.startswith(("data/", "videos/"))} == {first[0], *second[2:]}


def test_deleting_twice_and_then_adding_goes_on_with_new_numbers(
    own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], make_episode: Make, write_tree: Write, video: Video
) -> None:
    delete(own_tree, ids_of(episodes, 4))
    delete(own_tree, ids_of(episodes, 1))
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(9))
        digest = writer.close()
    dataset = Dataset.open(own_tree)
    assert dataset.indices.tolist() == [0, 2, 3, 5]
    starts = dataset.table(["dataset_from_index"])["dataset_from_index"].to_pylist()
    assert starts[-1] == sum(map(len, episodes))
    fresh = tmp_path / "fresh"
    assert write_tree(fresh, [*(episodes[n] for n in (0, 2, 3)), make_episode(9)]) == digest
    require_like(dataset, Dataset.open(fresh))
    assert part_of(dataset).indices.tolist() == sorted(dataset.indices, key=dataset.episode_id)


def test_an_id_may_be_cut_short(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    assert delete(own_tree, [episodes[1].episode_id[:9]]).episodes == (episodes[1].episode_id,)


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (["f" * 64], DatasetError, "no episode 'f{64}'"),
        ([""], DatasetError, "no episode ''"),
        ([], UsageError, "no episode to delete"),
        (None, DatasetError, "all 5 episodes would go"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    own_tree: Path, episodes: list[EpisodeFrames], wanted: list[str] | None, error: type[Exception], said: str
) -> None:
    before = tree_manifest(own_tree)
    names = ids_of(episodes, *range(5)) if wanted is None else [*ids_of(episodes, *range(len(wanted))), *wanted]
    with pytest.raises(error, match=said):
        delete(own_tree, names)
    assert tree_manifest(own_tree) == before


def test_a_plan_changes_nothing_and_says_the_same(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    before = tree_manifest(own_tree)
    plan = plan_deletion(own_tree, ids_of(episodes, 1, 2))
    assert tree_manifest(own_tree) == before
    done = delete(own_tree, ids_of(episodes, 1, 2))
    assert replace(done, digest="") == plan


def test_a_hard_link_elsewhere_is_told(own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames]) -> None:
    name = layout.DATA_PATH.format(chunk_index=0, file_index=0)
    os.link(own_tree / name, tmp_path / "cached")
    (tmp_path / ".tree.spool").mkdir()
    deletion = delete(own_tree, ids_of(episodes, 0))
    assert deletion.linked == (name,)
    assert deletion.beside == (".tree.spool",)


def test_what_shows_the_episodes_is_named(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    name = episodes[2].episode_id
    for shown in (f"tree-views/{name[:12]}", f"tree-views/{episodes[1].episode_id[:12]}", "tree-card"):
        (own_tree.parent / shown).mkdir(parents=True)
    assert delete(own_tree, [name]).shown == (f"tree-views/{name[:12]}", "tree-card")


def test_a_tombstone_holds_the_place_and_nothing_else(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    delete(own_tree, ids_of(episodes, 1))
    rows = pq.read_table(own_tree / layout.EPISODES_PATH.format(chunk_index=0, file_index=0)).to_pylist()
    assert [row["episode_index"] for row in rows] == list(range(5))
    stone = rows[1]
    assert (stone["length"], stone["tasks"]) == (0, [])
    assert stone["dataset_from_index"] == stone["dataset_to_index"]
    stats = np.concatenate([np.ravel(value) for name, value in stone.items() if name.startswith("stats/")])
    assert not stats.any()
    assert np.shape(stone["stats/observation.images.wrist/mean"]) == (3, 1, 1)
    assert rows[2]["length"] == len(episodes[2])


def test_a_calibration_goes_with_its_last_episode(tmp_path: Path, make_episode: Make, write_tree: Write) -> None:
    shared, own = {"fx": 1.0}, {"fx": 2.0}
    episodes = []
    for seed, calibration in enumerate((shared, own, shared)):
        row = make_episode(seed).row | {
            "calibration_digest": digest_json(calibration),
            "recorded_at": f"2026-01-0{seed + 1}",
        }
        episodes.append(make_episode(seed, row=row, calibration=calibration))
    root = tmp_path / "tree"
    write_tree(root, episodes)
    delete(root, ids_of(episodes, 0, 1))
    dataset = Dataset.open(root)
    dataset.verify()
    assert dataset.calibration(digest_json(shared)) == shared
    with pytest.raises(DatasetError, match="no calibration"):
        dataset.calibration(digest_json(own))
    kept = root / layout.CALIBRATION_PATH.format(digest=digest_json(shared))
    assert json.loads(kept.read_text())["first_recorded_at"] == "2026-01-03"


def test_depth_goes_as_well(tmp_path: Path, make_episode: Make, cell: Embodiment, video: Video) -> None:
    body = replace(cell, observation=replace(cell.observation, depth=("overhead",)))
    rng = np.random.default_rng(0)
    episodes = [
        make_episode(
            seed, length=6, depth={"overhead": rng.integers(0, 4000, (6, 24, 32), dtype=np.uint16)} if seed != 1 else {}
        )
        for seed in range(4)
    ]
    root = tmp_path / "tree"
    with DatasetWriter(root, body, 20, video) as writer:
        for episode in episodes:
            writer.add_frames(episode)
        writer.close()
    delete(root, ids_of(episodes, 0))
    dataset = Dataset.open(root)
    dataset.verify()
    for number in (2, 3):
        np.testing.assert_array_equal(dataset.depth(number, "overhead"), episodes[number].depth["overhead"])
    assert dataset.depth_cameras(1) == ()


def test_sources_say_what_was_deleted(own_tree: Path, episodes: list[EpisodeFrames], video: Video) -> None:
    rows = [
        {**SOURCE, "uri": e.row["source_uri"], "part": "", "episode_id": e.episode_id, "code": "", "detail": ""}
        for e in episodes
    ]
    rows.append({**rows[1], "uri": "copy.mcap", "part": "1", "code": "duplicate_episode"})
    rows.append({**rows[1], "uri": "bad.mcap", "episode_id": "", "code": "truncated", "detail": "ends"})
    lines = [
        {"source": "bad.mcap", "code": "truncated", "detail": "ends"},
        {"source": "copy.mcap#1", "code": "duplicate_episode", "detail": ""},
    ]
    with resume(own_tree, video) as writer:
        writer.put(OWN_QUARANTINE, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        writer.close(sources=rows, counts={"episodes_in": 7, "quarantined": 2})
    delete(own_tree, ids_of(episodes, 1))
    dataset = Dataset.open(own_tree)
    sources: pd.DataFrame = dataset.sources.set_index("uri")
    assert dict(sources["code"]) == {
        **{e.row["source_uri"]: "" for e in episodes},
        episodes[1].row["source_uri"]: DELETED,
        "copy.mcap": DELETED,
        "bad.mcap": "truncated",
    }
    assert dataset.record.counts["episodes_in"] == 5
    assert dataset.record.counts["quarantined"] == 1
    assert [json.loads(line)["source"] for line in (own_tree / OWN_QUARANTINE).read_text().splitlines()] == ["bad.mcap"]
    dataset.verify()


def test_a_task_that_nobody_uses_keeps_its_place_unnamed(own_tree: Path, episodes: list[EpisodeFrames]) -> None:
    delete(own_tree, ids_of(episodes, 0, 2, 4))
    tasks = pd.read_parquet(own_tree / layout.TASKS)
    assert list(tasks.index) == ["deleted-0", episodes[1].instruction]
    assert list(tasks["task_index"]) == [0, 1]


def test_a_reader_from_before_finds_no_file_rather_than_other_frames(
    own_tree: Path, episodes: list[EpisodeFrames]
) -> None:
    before = Dataset.open(own_tree)
    delete(own_tree, ids_of(episodes, 0))
    with pytest.raises(DatasetError, match="file-000"):
        before.images(2, "wrist")
    with pytest.raises(DatasetError, match=r"episode 2 has \d+ rows, the metadata promises 23"):
        before.frames(2)
    with pytest.raises(DatasetError, match="does not hold the streams of episode 2"):
        before.streams_of(2)


class TestCaches:
    """Frames that were decoded of a dataset before episodes of it were deleted."""

    @pytest.fixture
    def filled(self, own_tree: Path, tree: Path, tmp_path: Path, make_episode: Make, write_tree: Write) -> Path:
        """A cache with two entries of the dataset and one of another; beside it a place where there is none."""
        write_tree(tmp_path / "other", [make_episode(7, length=5)])
        cache = CacheFolder(tmp_path / "cache", 1 << 30, 0)
        for root, numbers in ((own_tree, None), (own_tree, [1]), (tmp_path / "other", None)):
            cache.open(part_of(Dataset.open(root), numbers), 1)
        cache.close()
        return tmp_path / "cache"

    def test_they_go_and_those_of_others_stay(
        self, own_tree: Path, filled: Path, episodes: list[EpisodeFrames], tmp_path: Path
    ) -> None:
        assert len(entries(filled)) == 3
        deletion = delete(own_tree, ids_of(episodes, 1), caches=[filled, tmp_path / "none"])
        assert deletion.cached == ()
        assert entries(filled) == {key_of(part_of(Dataset.open(tmp_path / "other")))}
        assert not (tmp_path / "none").exists()

    def test_one_that_is_read_is_named(self, own_tree: Path, filled: Path, episodes: list[EpisodeFrames]) -> None:
        part = part_of(Dataset.open(own_tree))
        reader = CacheFolder(filled, 1 << 30, 0)
        decoded = reader.open(part, 1)
        before = decoded.images.sum()
        deletion = delete(own_tree, ids_of(episodes, 1), caches=[filled])
        assert deletion.cached == (str(filled / key_of(part)),)
        assert len(entries(filled)) == 2
        assert decoded.images.sum() == before
        reader.close()

    def test_a_delete_that_is_refused_leaves_them(
        self, own_tree: Path, filled: Path, episodes: list[EpisodeFrames]
    ) -> None:
        with pytest.raises(DatasetError, match="all 5 episodes would go"):
            delete(own_tree, ids_of(episodes, *range(5)), caches=[filled])
        assert len(entries(filled)) == 3

    def test_nothing_is_left_where_it_was_killed_after_the_commit(
        self, own_tree: Path, filled: Path, episodes: list[EpisodeFrames], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(root: Path) -> None:
            publish(root)
            raise KeyboardInterrupt

        monkeypatch.setattr("components.dataset.edits.delete.publish", killed)
        with pytest.raises(KeyboardInterrupt):
            delete(own_tree, ids_of(episodes, 1), caches=[filled])
        assert len(Dataset.open(own_tree)) == 4
        assert len(entries(filled)) == 1


def entries(cache: Path) -> set[str]:
    return {path.parent.name for path in cache.glob(f"*/{MARK}")}
