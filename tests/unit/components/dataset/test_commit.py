"""Files that take their places all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest
from components.core.params import Video
from components.core.spec import Embodiment
from components.dataset import close, commit, layout
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

Make = Callable[..., EpisodeFrames]


def place(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_staged_is_not_there_before_it_is_published(tmp_path: Path) -> None:
    place(tmp_path, a="old", b__c="kept")
    place(tmp_path / commit.STAGED, a="new", d__e="new")
    assert commit.tree_files(tmp_path) == {"a", "b/c"}
    assert commit.resolve(tmp_path, "a").read_text() == "old"
    commit.publish(tmp_path)
    assert {name: (tmp_path / name).read_text() for name in commit.tree_files(tmp_path)} == {
        "a": "new",
        "b/c": "kept",
        "d/e": "new",
    }
    assert list((tmp_path / layout.OWN).iterdir()) == []


def test_a_commit_that_was_cut_short_is_read_as_a_whole_and_completed(tmp_path: Path) -> None:
    place(tmp_path, a="old", moved="new")
    place(tmp_path / commit.COMMITTED, a="new", d__e="new")
    place(tmp_path / commit.STAGED, a="newer", f="newer")
    assert {name: commit.resolve(tmp_path, name).read_text() for name in commit.tree_files(tmp_path)} == {
        "a": "new",
        "d/e": "new",
        "moved": "new",
    }
    for _ in range(2):
        commit.recover(tmp_path)
        assert {name: (tmp_path / name).read_text() for name in commit.files_below(tmp_path)} == {
            "a": "new",
            "d/e": "new",
            "moved": "new",
        }


def test_the_record_comes_last_and_frames_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"meta__info.json", "data__x", "meta__gripline__record.json", "videos__y"}
    place(tmp_path / commit.STAGED, **dict.fromkeys(names, "new"))
    moved: list[str] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        moved.append(Path(target).relative_to(tmp_path).as_posix())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    commit.publish(tmp_path)
    assert moved == [commit.COMMITTED, "data/x", "videos/y", "meta/info.json", layout.OWN_RECORD]


def test_a_commit_takes_files_away(tmp_path: Path) -> None:
    place(tmp_path, a="old", b__c="old", b__d__e="old")
    place(tmp_path / commit.STAGED, a="new")
    commit.stage_removal(tmp_path, ["b/c"])
    commit.stage_removal(tmp_path, ["b/d/e"])
    assert commit.tree_files(tmp_path) == {"a", "b/c", "b/d/e"}
    assert close.list_files(tmp_path, {}).keys() == {"a"}
    commit.publish(tmp_path)
    assert set(commit.files_below(tmp_path)) == {"a"}
    assert not (tmp_path / "b").exists()


def test_a_commit_that_takes_files_away_and_was_cut_short_is_completed(tmp_path: Path) -> None:
    place(tmp_path, a="old", b="old", c="kept")
    place(tmp_path / commit.STAGED, a="new")
    commit.stage_removal(tmp_path, ["a", "b", "gone"])
    (tmp_path / commit.STAGED).rename(tmp_path / commit.COMMITTED)
    assert commit.tree_files(tmp_path) == {"a", "c"}
    for _ in range(2):
        commit.recover(tmp_path)
        assert {name: (tmp_path / name).read_text() for name in commit.files_below(tmp_path)} == {
            "a": "new",
            "c": "kept",
        }


def test_a_removal_that_was_not_committed_is_none(tmp_path: Path) -> None:
    place(tmp_path, a="old")
    commit.stage_removal(tmp_path, ["a"])
    commit.recover(tmp_path)
    assert set(commit.files_below(tmp_path)) == {"a"}


def test_commits_add_up_to_what_one_close_gives(
    tmp_path: Path, cell: Embodiment, video: Video, make_episode: Make, write_tree: Callable[..., str]
) -> None:
    episodes = [make_episode(seed) for seed in range(4)]
    with DatasetWriter(tmp_path / "grown", cell, 20, video) as writer:
        for count, episode in enumerate(episodes, 1):
            writer.add_frames(episode)
            assert len(list((tmp_path / "grown").glob("*/chunk-*/*"))) == count - 1
            digest = writer.commit()
            dataset = Dataset.open(tmp_path / "grown")
            dataset.verify()
            assert (len(dataset), dataset.digest) == (count, digest)
    assert digest == write_tree(tmp_path / "whole", episodes)
    stats = [(tmp_path / name / layout.STATS).read_bytes() for name in ("grown", "whole")]
    assert stats[0] == stats[1]
    assert sorted(path.name for path in (tmp_path / "grown/data/chunk-000").iterdir()) == [
        f"file-00{number}.parquet" for number in range(4)
    ]


def test_what_was_not_committed_is_dropped(own_tree: Path, video: Video, make_episode: Make) -> None:
    before = tree_manifest(own_tree)
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(7))
        writer.put("notes.txt", b"x")
    assert tree_manifest(own_tree) == before
    with pytest.raises(DatasetError, match="the writer is aborted"):
        writer.commit()


def test_old_files_are_not_read_again(
    own_tree: Path, video: Video, make_episode: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    sha256_file = close.sha256_file

    def watched(path: Path) -> str:
        hashed.append(path.as_posix())
        return sha256_file(path)

    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(7))
        monkeypatch.setattr(close, "sha256_file", watched)
        writer.commit()
    written = [name for name in hashed if any(part in name for part in ("/data/", "/videos/", "/episodes/"))]
    assert len(written) == 4
    assert all(f"{commit.STAGED}/" in name and "file-001" in name for name in written)
    Dataset.open(own_tree).verify()


def test_other_files_of_the_tree_are_listed_whichever_way_they_came(
    own_tree: Path, video: Video, make_episode: Make
) -> None:
    for text in ("one", "two"):
        with resume(own_tree, video) as writer:
            writer.put("meta/gripline/put.txt", text.encode())
            (own_tree / "meta/gripline/written.txt").write_text(text)
            writer.close()
        listed: dict[str, Any] = read_json(own_tree / layout.OWN_FILES)
        assert {"meta/gripline/put.txt", "meta/gripline/written.txt"} < listed.keys()
        assert (own_tree / "meta/gripline/put.txt").read_text() == text
        Dataset.open(own_tree).verify()


def test_a_commit_in_between_is_seen_by_a_new_writer_too(tmp_path: Path, cell: Embodiment, video: Video) -> None:
    (tmp_path / commit.COMMITTED).mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"holds a dataset already\. Use `resume`"):
        DatasetWriter(tmp_path, cell, 20, video)
