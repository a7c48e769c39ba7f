"""Chosen episodes, as a manifest or as a tree of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import Busy, DatasetError, UsageError
from components.core.files import tree_manifest
from components.core.params import Video
from components.dataset.edits.choose import full_ids
from components.dataset.edits.delete import delete
from components.dataset.edits.merge import merge
from components.dataset.edits.subset import subset
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.manifest import read_manifest
from components.dataset.parts import parts_of
from components.dataset.reader import Dataset
from components.dataset.resume import resume

AtSite = Callable[[int, str], EpisodeFrames]


def test_numbers_and_ids_name_the_same(tree: Path, tmp_path: Path, episodes: list[EpisodeFrames]) -> None:
    by_number = subset(tree, [3, 1], tmp_path / "numbers")
    by_id = subset(tree, [episodes[1].episode_id, episodes[3].episode_id[:10]], tmp_path / "ids")
    assert by_number.digest == by_id.digest
    assert (by_id.episodes, by_id.frames) == (2, len(episodes[1]) + len(episodes[3]))
    (part,) = parts_of(tmp_path / "ids")
    assert sorted(part.indices.tolist()) == [1, 3]
    assert part.dataset.root == tree


@pytest.mark.parametrize("numbers", [[0], [4, 1, 2]])
def test_a_copy_is_a_tree_of_its_own(
    tree: Path, tmp_path: Path, episodes: list[EpisodeFrames], write_tree: Callable[..., str], numbers: list[int]
) -> None:
    done = subset(tree, numbers, tmp_path / "copy", copy=True)
    assert done.digest == write_tree(tmp_path / "fresh", [episodes[number] for number in numbers])
    assert done.digest == subset(tree, numbers, tmp_path / "manifest").digest
    dataset, source = Dataset.open(tmp_path / "copy"), Dataset.open(tree)
    dataset.verify()
    assert dataset.record.inputs == {"tree": source.digest}
    assert sorted(dataset.episodes["episode_id"]) == sorted(episodes[number].episode_id for number in numbers)
    for number in dataset.indices.tolist():
        old = source.episodes["episode_id"].tolist().index(dataset.episode_id(number))
        one, other = extract(dataset, number), extract(source, old)
        assert replace(one, videos={}).to_bytes() == replace(other, videos={}).to_bytes()
        np.testing.assert_array_equal(dataset.images(number, "wrist"), source.images(old, "wrist"))


def test_a_copy_keeps_the_sources_of_its_episodes(own_tree: Path, tmp_path: Path, video: Video) -> None:
    dataset = Dataset.open(own_tree)
    rows = [
        {
            "uri": f"{n}.mcap",
            "sha256": "",
            "format": "mcap",
            "part": "",
            "episode_id": dataset.episode_id(n),
            "code": "",
            "detail": "",
        }
        for n in range(5)
    ]
    rows.append(rows[2] | {"uri": "again.mcap", "code": "duplicate_episode"})
    with resume(own_tree, video) as writer:
        writer.close(sources=rows)
    subset(own_tree, [2, 4], tmp_path / "copy", copy=True)
    assert sorted(Dataset.open(tmp_path / "copy").sources["uri"]) == ["2.mcap", "4.mcap"]


def test_out_of_a_tree_with_gaps(own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames]) -> None:
    delete(own_tree, [episodes[1].episode_id])
    subset(own_tree, [4, 2], tmp_path / "copy", copy=True)
    assert sorted(Dataset.open(tmp_path / "copy").episodes["episode_id"]) == sorted(
        episodes[number].episode_id for number in (2, 4)
    )
    with pytest.raises(DatasetError, match="no episode 1"):
        subset(own_tree, [1], tmp_path / "none")


def test_out_of_several_datasets(sites: Path, tmp_path: Path, at_site: AtSite) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    wanted = [at_site(seed, "").episode_id for seed in (0, 3, 6)]
    done = subset(tmp_path / "all", wanted, tmp_path / "few")
    assert [(member.name, member.episodes) for member in read_manifest(tmp_path / "few").members] == [
        ("north", 2),
        ("south", 1),
    ]
    copy = subset(tmp_path / "few", wanted, tmp_path / "copy", copy=True)
    assert (copy.digest, copy.episodes, copy.frames) == (done.digest, 3, 15)
    assert sorted(Dataset.open(tmp_path / "copy").episodes["episode_id"]) == sorted(wanted)


def test_one_tree_cannot_hold_two_embodiments(sites: Path, other_robot: Path, tmp_path: Path) -> None:
    merge([sites / "north", other_robot], tmp_path / "all")
    ids = [part.dataset.episode_id(int(part.indices[0])) for part in parts_of(tmp_path / "all")]
    with pytest.raises(DatasetError, match="one tree cannot hold 'north' and 'other', their embodiment differ"):
        subset(tmp_path / "all", ids, tmp_path / "copy", copy=True)
    assert not (tmp_path / "copy").exists()
    assert subset(tmp_path / "all", ids, tmp_path / "few").episodes == 2


def test_a_copy_that_fails_leaves_nothing_and_one_that_was_killed_is_no_obstacle(
    own_tree: Path, tmp_path: Path
) -> None:
    staged = tmp_path / "copy/meta/gripline/.staged/data"
    staged.mkdir(parents=True)
    (staged / "file").touch()
    video = next((own_tree / "videos").rglob("*.mp4"))
    whole = video.read_bytes()
    video.write_bytes(whole[:500])
    with pytest.raises(DatasetError, match="video cannot be read"):
        subset(own_tree, [0], tmp_path / "copy", copy=True)
    assert not (tmp_path / "copy").exists()
    video.write_bytes(whole)
    staged.mkdir(parents=True)
    assert subset(own_tree, [0], tmp_path / "copy", copy=True).episodes == 1
    with pytest.raises(UsageError, match="is there already"):
        subset(own_tree, [0], tmp_path / "copy", copy=True)


# Writes an episode that no commit has made part of a tree yet, until its input ends.
WRITER = """
import sys
from pathlib import Path
from components.dataset.extract import extract
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.core.params import Video
source, out = Dataset.open(Path(sys.argv[1])), Path(sys.argv[2])
with DatasetWriter(out, source.embodiment, source.fps, Video(**source.record.attrs["video"])) as writer:
    writer.add(extract(source, 0))
    print("written", flush=True)
    sys.stdin.read()
    writer.add(extract(source, 1))
    writer.close()
"""


def test_a_copy_leaves_alone_what_another_process_is_writing(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    command = [sys.executable, "-c", WRITER, str(tree), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"written\n"
            before = tree_manifest(out)
            with pytest.raises(Busy, match="another process is writing this dataset"):
                subset(tree, [2], out, copy=True)
            assert tree_manifest(out) == before
            assert before
        finally:
            child.stdin.close()
            child.wait(timeout=60)
    dataset = Dataset.open(out)
    dataset.verify()
    assert len(dataset) == 2


def test_a_copy_that_is_made_meanwhile_is_kept(tree: Path, tmp_path: Path) -> None:
    subset(tree, [0], tmp_path / "copy", copy=True)
    before = tree_manifest(tmp_path / "copy")
    with pytest.raises(UsageError, match="is there already"):
        subset(tree, [1], tmp_path / "copy", copy=True)
    assert tree_manifest(tmp_path / "copy") == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (["zzzzzzzz"], DatasetError, "no episode 'zzzzzzzz'"),
        ([7], DatasetError, "no episode 7"),
        ([], DatasetError, "no episode is chosen"),
    ],
)
def test_what_is_not_there(
    tree: Path, tmp_path: Path, wanted: list[str | int], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        subset(tree, wanted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_numbers_say_nothing_in_a_manifest(sites: Path, tmp_path: Path) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    with pytest.raises(UsageError, match="episode numbers repeat"):
        subset(tmp_path / "all", [0], tmp_path / "few")


IDS = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), min_size=1, max_size=30, unique=True)


@given(IDS, st.data())
def test_a_beginning_that_is_enough_names_its_episode(ids: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ids))
    beginning = name[: data.draw(st.integers(6, 8))]
    fitting = [one for one in ids if one.startswith(beginning)]
    if len(fitting) == 1 or beginning in ids:
        assert full_ids(pa.array(ids), [beginning, name], where="here") == [name]
    else:
        with pytest.raises(DatasetError, match=f"{len(fitting)} episodes begin with '{beginning}'"):
            full_ids(pa.array(ids), [beginning], where="here")


def test_nothing_is_written_into_a_dataset(own_tree: Path) -> None:
    for copy in (False, True):
        with pytest.raises(UsageError, match=r"lies in the dataset .*tree"):
            subset(own_tree, [1], own_tree / "meta" / "chosen", copy=copy)
    Dataset.open(own_tree).verify()


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_chosen_of_a_dataset_that_grew_stays_chosen(
    own_tree: Path, tmp_path: Path, make_episode: Callable[..., EpisodeFrames], video: Video, whole: bool
) -> None:
    numbers = range(5) if whole else [1, 3]
    made = subset(own_tree, numbers, tmp_path / "chosen")
    with resume(own_tree, video) as writer:
        writer.add_frames(make_episode(7))
        writer.close()
    (part,) = parts_of(tmp_path / "chosen")
    assert sorted(part.indices.tolist()) == list(numbers)
    again = subset(tmp_path / "chosen", part.indices, tmp_path / "again")
    assert again.digest == made.digest


def test_a_chosen_episode_that_is_gone_is_missed(own_tree: Path, tmp_path: Path, episodes: list[EpisodeFrames]) -> None:
    subset(own_tree, [1, 3], tmp_path / "chosen")
    delete(own_tree, [episodes[0].episode_id])
    assert len(parts_of(tmp_path / "chosen")[0]) == 2
    delete(own_tree, [episodes[3].episode_id])
    with pytest.raises(DatasetError, match="'tree' has changed since: 1 of the 2 chosen episodes"):
        parts_of(tmp_path / "chosen")
