"""What every version of the format must give: the rows, frames, words and times that were written."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.lerobot import reader

VERSIONS = ("v2.0", "v2.1", "v3.0")


def write(trees: ModuleType, root: Path, version: str, **options: Any) -> Path:
    return trees.write_v3(root, **options) if version == "v3.0" else trees.write_v2(root, version=version, **options)


def assert_whole(trees: ModuleType, episode: Episode, index: int) -> None:
    length = trees.LENGTHS[index]
    assert sorted(episode.streams) == ["action", "state", "wrist"]
    assert episode.streams["state"].names == trees.STATE_NAMES
    assert episode.streams["action"].names == ("dx", "dy")
    np.testing.assert_array_equal(episode.streams["state"].values, trees.state_of(index, length))
    np.testing.assert_array_equal(episode.streams["action"].values, trees.action_of(index, length))
    expected = np.arange(length) / trees.FPS
    for stream in episode.streams.values():
        np.testing.assert_allclose(stream.time_ns / 1e9, expected, atol=1e-6)
    trees.assert_frames(episode.streams["wrist"].values, index)
    assert (episode.instruction, episode.task) == (trees.WORDS[index], trees.WORDS[index])
    assert episode.extra["robot_type"] == "testbot"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_episode_is_read_as_it_was_written(trees: ModuleType, tmp_path: Path, version: str) -> None:
    recording, opened = trees.open_tree(write(trees, tmp_path, version))
    assert opened.dialect == version
    assert opened.parts == ("episode_000000", "episode_000001", "episode_000002")
    assert opened.problems == ()
    assert opened.mapping.rate_hz == trees.FPS
    # Out of order: an episode does not depend on those read before it.
    for index in (2, 0, 1):
        assert_whole(trees, reader.read_part(recording, f"episode_{index:06d}"), index)


@pytest.mark.parametrize("codec", ["libsvtav1", "libx265", "mpeg4"])
def test_other_codecs(trees: ModuleType, tmp_path: Path, codec: str) -> None:
    root = write(trees, tmp_path, "v3.0", codec=codec)
    for index in range(3):
        trees.assert_frames(trees.read(root, index).streams["wrist"].values, index)
    assert "the mp4 holds" in trees.problems(root)["codec"]


@pytest.mark.parametrize("group_rows", [1, 4, 100])
def test_row_groups_need_not_end_with_an_episode(trees: ModuleType, tmp_path: Path, group_rows: int) -> None:
    root = trees.write_v3(tmp_path, group_rows=group_rows)
    for index in range(3):
        assert_whole(trees, trees.read(root, index), index)


@pytest.mark.parametrize("column", ["task", "__index_level_0__"])
def test_both_spellings_of_the_tasks(trees: ModuleType, tmp_path: Path, column: str) -> None:
    root = trees.write_v3(tmp_path, task_column=column)
    for path in (trees.v3_episodes(root, 0), trees.v3_episodes(root, 1)):
        pq.write_table(pq.read_table(path).drop_columns(["tasks"]), path)
    assert [trees.read(root, index).instruction for index in range(3)] == list(trees.WORDS)


def test_without_tasks_the_words_of_the_episode_hold(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v3(tmp_path)
    (root / "meta" / "tasks.parquet").unlink()
    assert trees.read(root, 1).instruction == trees.WORDS[1]
    assert "missing" in trees.problems(root)["missing_file"]


def test_to_timestamp_may_be_the_time_of_the_last_frame(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v3(tmp_path, last_frame_ends=True)
    for index in range(3):
        trees.assert_frames(trees.read(root, index).streams["wrist"].values, index)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_part_of_a_tree_is_read_and_the_rest_is_one_problem(trees: ModuleType, tmp_path: Path, version: str) -> None:
    root = write(trees, tmp_path, version)
    if version == "v3.0":
        trees.v3_data(root, 0).unlink()
    else:
        for episode in (0, 1):
            trees.v2_data(root, episode).unlink()
    recording, opened = trees.open_tree(root)
    assert opened.parts == ("episode_000002",)
    assert [p.detail for p in opened.problems] == ["2 of 3 episodes have no table, first episode 0"]
    assert_whole(trees, reader.read_part(recording, "episode_000002"), 2)
    with pytest.raises(EpisodeError, match="no such episode"):
        reader.read_part(recording, "episode_000000")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_video_costs_its_camera_alone(trees: ModuleType, tmp_path: Path, version: str) -> None:
    root = write(trees, tmp_path, version)
    (trees.v3_video(root, 1) if version == "v3.0" else trees.v2_video(root, 2)).unlink()
    recording, opened = trees.open_tree(root)
    (problem,) = opened.problems
    assert problem.code == "missing_video"
    assert problem.detail.startswith("camera 'observation.images.wrist' is left out of 1 of 3 episodes")
    episode = reader.read_part(recording, "episode_000002")
    assert sorted(episode.streams) == ["action", "state"]
    assert episode.extra["left_out"] == "wrist"
    assert_whole(trees, reader.read_part(recording, "episode_000001"), 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_table_costs_its_own_episodes(trees: ModuleType, tmp_path: Path, version: str) -> None:
    root = write(trees, tmp_path, version)
    path = trees.v3_data(root, 1) if version == "v3.0" else trees.v2_data(root, 2)
    path.write_bytes(path.read_bytes()[:-20])
    recording, opened = trees.open_tree(root)
    assert len(opened.parts) == 3
    with pytest.raises(FormatError, match="the end is missing") as caught:
        reader.read_part(recording, "episode_000002")
    assert caught.value.code == "truncated"
    assert caught.value.where == f"tree/{path.relative_to(root)}"
    for index in (0, 1):
        assert_whole(trees, reader.read_part(recording, f"episode_{index:06d}"), index)


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_that_the_metadata_do_not_promise(trees: ModuleType, tmp_path: Path, version: str) -> None:
    root = write(trees, tmp_path, version)
    path = trees.v3_data(root, 1) if version == "v3.0" else trees.v2_data(root, 2)
    pq.write_table(pq.read_table(path).slice(0, 4), path)
    with pytest.raises(EpisodeError, match="has 4 rows of it, the metadata promise 5"):
        trees.read(root, 2)
    assert "has 4 rows, its episodes add up to 5" in trees.problems(root)["rows"]


def test_rows_out_of_order(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    rows = pq.read_table(trees.v2_data(root, 0))
    pq.write_table(rows.take([0, 2, 1, 3, 4, 5]), trees.v2_data(root, 0))
    with pytest.raises(EpisodeError, match="does not count up by one"):
        trees.read(root, 0)


def test_a_table_of_version_2_with_two_episodes(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    mixed = pa.array([0, 0, 0, 1, 1, 1])
    rows = trees.table(0, 6, extra={"episode_index": mixed})
    pq.write_table(rows, trees.v2_data(root, 0))
    with pytest.raises(EpisodeError, match="rows of several episodes"):
        trees.read(root, 0)


def test_a_broken_line_costs_only_itself(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    path = root / "meta" / "episodes.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"episode_index": 1, "tas', lines[2]]))
    recording, opened = trees.open_tree(root)
    assert len(opened.parts) == 3
    assert {p.code for p in opened.problems} == {"bad_metadata", "unlisted_episodes"}
    assert next(p.detail for p in opened.problems if p.code == "bad_metadata").startswith("line 2: JSONDecodeError")
    assert_whole(trees, reader.read_part(recording, "episode_000001"), 1)


def test_empty_metadata_of_version_2_leave_the_tables(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    for name in ("episodes", "tasks"):
        (root / "meta" / f"{name}.jsonl").write_bytes(b"")
    recording, opened = trees.open_tree(root)
    assert [(p.code, p.where) for p in opened.problems] == [
        ("bad_metadata", "tree/meta/episodes.jsonl"),
        ("bad_metadata", "tree/meta/tasks.jsonl"),
    ]
    episode = reader.read_part(recording, "episode_000001")
    assert episode.instruction == ""
    trees.assert_frames(episode.streams["wrist"].values, 1)


def test_a_damaged_metadata_file_of_version_3_costs_its_own_rows(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v3(tmp_path)
    trees.v3_episodes(root, 0).write_bytes(b"PAR1 nothing PAR1")
    recording, opened = trees.open_tree(root)
    assert opened.parts == ("episode_000002",)
    assert opened.problems[0].code == "bad_metadata"
    assert opened.problems[0].where == "tree/meta/episodes/chunk-000/file-000.parquet"
    assert_whole(trees, reader.read_part(recording, "episode_000002"), 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tree_without_tables(trees: ModuleType, tmp_path: Path, version: str) -> None:
    trees.write_info(tmp_path, version)
    with pytest.raises(FormatError, match=r"no table below|no episode's table") as caught:
        trees.open_tree(tmp_path)
    assert caught.value.code == "no_episodes"


def test_a_git_lfs_pointer_is_named(trees: ModuleType, tmp_path: Path) -> None:
    root = trees.write_v2(tmp_path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    trees.v2_data(root, 0).write_bytes(pointer)
    trees.v2_video(root, 1).write_bytes(pointer)
    for index in (0, 1):
        with pytest.raises(FormatError, match="git lfs pull") as caught:
            trees.read(root, index)
        assert caught.value.code == "lfs_pointer"
    assert_whole(trees, trees.read(root, 2), 2)


@pytest.mark.parametrize("part", ["", "episode_1", "episode_000009", "../x"])
def test_parts_that_are_none(trees: ModuleType, tmp_path: Path, part: str) -> None:
    recording, _ = trees.open_tree(trees.write_v2(tmp_path))
    with pytest.raises(EpisodeError, match="no such episode"):
        reader.read_part(recording, part)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FA00000])
def test_no_number_is_not_judged_here(trees: ModuleType, tmp_path: Path, bits: int) -> None:
    root = trees.write_v2(tmp_path)
    values = trees.state_of(0, 6)
    values[2, 1] = np.array([bits], np.uint32).view(np.float32)[0]
    pq.write_table(trees.table(0, 6, extra={"observation.state": trees.vectors(values)}), trees.v2_data(root, 0))
    found = trees.read(root, 0).streams["state"].values
    assert np.isnan(found[2, 1])
    assert np.isfinite(np.delete(found.ravel(), 7)).all()
