from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import Video
from components.dataset import layout, opening
from components.dataset.commit import COMMITTED
from components.dataset.frames import EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.resume import resume

DATA = "data/chunk-000/file-000.parquet"
STREAMS = "meta/gripline/streams/chunk-000/file-000.parquet"
WRIST = "videos/observation.images.wrist/chunk-000/file-000.mp4"
INDEX = "episodes.parquet"


@pytest.fixture(scope="module")
def sealing() -> ModuleType:
    return helpers(UNIT / "dataset/sealing.py")


def drop_row(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def change_hash(path: Path) -> None:
    table = pq.read_table(path)
    column = table.column_names.index("pixel_sha256")
    pq.write_table(table.set_column(column, "pixel_sha256", [["0" * 64] * len(table)]), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebase_version": "v2.1"}, "version 'v2.1', expected 'v3.0'"),
        ({"fps": None}, "info.json: lacks fps"),
        ({"total_episodes": 6}, "total_episodes: 6, expected 5"),
        ({"total_frames": 1}, "frames in meta/gripline/episodes.parquet: 115, expected 1"),
        ({"fps": 30}, "fps: 30, expected 20"),
        ({"robot_type": "aloha"}, "robot_type: 'aloha', expected 'sawyer-cell'"),
        ({"data_path": "x"}, "data_path: 'x', expected 'data/chunk"),
        ({"total_tasks": 3}, r"meta/info.json: changed since it was written. Restore the tree or run ingest again"),
    ],
)
def test_an_info_that_disagrees_is_refused(own_tree: Path, change: dict[str, Any], message: str) -> None:
    info = read_json(own_tree / layout.INFO) | change
    write_json(own_tree / layout.INFO, {key: value for key, value in info.items() if value is not None})
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: (r / layout.INFO).unlink(),
            r"not a dataset, there is no meta/info.json. Run the ingest stage first",
        ),
        (lambda r: (r / layout.INFO).write_text("{"), r"info.json: not JSON: .* Restore the tree or run ingest again"),
        (lambda r: (r / layout.INFO).write_text("[]"), "info.json: holds a list, expected an object"),
        (lambda r: (r / layout.OWN_RECORD).unlink(), r"the tree is not complete: .*no record.json"),
        (lambda r: (r / layout.OWN_EMBODIMENT).write_text("{}"), "not an embodiment"),
        (lambda r: (r / layout.OWN_FILES).unlink(), "there is no meta/gripline/files.json"),
        (lambda r: write_json(r / layout.OWN_FILES, {}), "files.json: differs from what the record was sealed over"),
        (lambda r: (r / layout.OWN_EPISODES).unlink(), "there is no meta/gripline/episodes.parquet"),
        (lambda r: (r / layout.OWN_EPISODES).write_text("PAR1"), "episodes.parquet: unreadable"),
        (lambda r: drop_row(r / layout.OWN_EPISODES), "rows of meta/gripline/episodes.parquet: 4, expected 5"),
        (lambda r: change_hash(r / layout.OWN_EPISODES), "episodes.parquet: changed since it was written"),
        (lambda r: (r / layout.OWN_TOTALS).unlink(), "missing: meta/gripline/totals.json"),
        (lambda r: (r / layout.OWN_TOTALS).write_text("{}"), "totals.json: changed since it was written"),
        (lambda r: (r / DATA).unlink(), f"missing: {DATA}"),
        (lambda r: shutil.rmtree(r / "data"), f"missing: {DATA}"),
        (lambda r: (r / WRIST).unlink(), f"missing: {WRIST}"),
        (lambda r: (r / layout.STATS).unlink(), "missing: meta/stats.json"),
        (lambda r: (r / STREAMS).unlink(), f"missing: {STREAMS}"),
    ],
)
def test_damage_is_named_on_opening(own_tree: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(own_tree)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree)


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("episode_index", 2, 1, f"{INDEX}: episode_index of row 2 is 1, expected more than that before it"),
        ("episode_index", 0, -1, f"{INDEX}: episode_index of row 0 is -1"),
        ("episode_index", 4, 9, "episode 9 ends at frame 115, after what meta/gripline/totals.json ends with"),
        ("length", 1, 0, f"{INDEX}: length of row 1 is 0, expected at least 1"),
        ("length", 4, 30, "frames in meta/gripline/episodes.parquet: 114, expected 115"),
        ("dataset_from_index", 1, 14, f"{INDEX}: dataset_from_index of row 1 is 14, expected what those before it end"),
        ("dataset_from_index", 4, 85, "episode 4 ends at frame 116, after what meta/gripline/totals.json ends with"),
        ("data/row", 0, 3, "data/row of episode 0: 3, expected 0"),
        ("data/row", 2, 35, "data/row of episode 2: 35, expected 34"),
        ("videos/observation.images.wrist/first_frame", 1, 0, "first_frame of episode 1: 0, expected 15"),
        ("streams/row", 3, 4, "streams/row of episode 3: 4, expected 3"),
        ("data/file_index", 4, 1, "data/row of episode 4: 84, expected 0"),
        ("meta/episodes/file_index", 4, 1, "files.json does not list meta/episodes/chunk-000/file-001.parquet"),
    ],
)
def test_numbers_that_contradict_each_other_are_named(
    own_tree: Path, sealing: ModuleType, name: str, row: int, value: int, message: str
) -> None:
    sealing.edit_index(own_tree, lambda index: sealing.set_cell(index, name, row, value))
    with pytest.raises(DatasetError, match=message):
        Dataset.open(own_tree)


def test_numbers_must_be_numbers(own_tree: Path, sealing: ModuleType) -> None:
    def as_text(index: pa.Table) -> pa.Table:
        at = index.column_names.index("data/row")
        return index.set_column(at, "data/row", index["data/row"].cast(pa.string()))

    sealing.edit_index(own_tree, lambda index: sealing.set_cell(index, "streams/row", 1, None))
    with pytest.raises(DatasetError, match=f"{INDEX}: streams/row: 1 values missing, expected whole numbers"):
        Dataset.open(own_tree)
    sealing.edit_index(own_tree, as_text)
    with pytest.raises(DatasetError, match=f"{INDEX}: data/row: string, expected whole numbers"):
        Dataset.open(own_tree)


def test_opening_and_reading_need_no_pandas(tree: Path) -> None:
    code = "import sys; from pathlib import Path; from components.dataset.reader import Dataset\n"
    code += "dataset = Dataset.open(Path(sys.argv[1])); dataset.frames(0, ['action']); dataset.images(0, 'wrist')\n"
    code += "print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tree)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_file_that_is_not_there_is_no_dataset_even_if_nobody_listed_it(own_tree: Path, sealing: ModuleType) -> None:
    (own_tree / WRIST).unlink()
    sealing.reseal(own_tree)
    with pytest.raises(DatasetError, match=f"files.json does not list {WRIST}"):
        Dataset.open(own_tree)


@pytest.mark.parametrize("names", [["licence"], ["data/row", "streams/count"]])
def test_missing_columns_are_named(own_tree: Path, sealing: ModuleType, names: list[str]) -> None:
    sealing.edit_index(own_tree, lambda index: index.drop_columns(names))
    hint = "Written by another version; run ingest again from the recordings"
    with pytest.raises(DatasetError, match=f"{INDEX}: lacks the columns {', '.join(names)}. {hint}"):
        Dataset.open(own_tree)


def test_neither_strings_nor_other_readers_metadata_are_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    table = opening.EpisodeIndex.table

    def watched(index: Any, columns: Any) -> Any:
        asked.extend(columns)
        return table(index, columns)

    monkeypatch.setattr(opening.EpisodeIndex, "table", watched)
    monkeypatch.setattr(opening, "read_table", None)
    dataset = Dataset.open(tree)
    assert asked
    assert {str(dataset.table([name]).schema.field(0).type) for name in set(asked)} == {"int32", "int64"}
    assert not any(name.startswith("stats") for name in asked)


def test_a_commit_in_between_is_read_once_more(
    own_tree: Path,
    video: Video,
    make_episode: Callable[..., EpisodeFrames],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse_record = opening.parse_record
    commits = iter([True])

    def late(*arguments: Any, **more: Any) -> Any:
        record = parse_record(*arguments, **more)
        if next(commits, False):
            with resume(own_tree, video) as writer:
                writer.add_frames(make_episode(7))
                writer.close()
        return record

    monkeypatch.setattr(opening, "parse_record", late)
    assert len(Dataset.open(own_tree)) == 6


def test_a_commit_whose_files_are_still_under_way_is_opened(
    own_tree: Path, video: Video, make_episode: Callable[..., EpisodeFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, resume(own_tree, video) as writer:
        patch.setattr("components.dataset.commit._move_committed", lambda _: None)
        writer.add_frames(make_episode(7))
        writer.commit()
        assert (own_tree / COMMITTED / layout.OWN_RECORD).is_file()
        dataset = Dataset.open(own_tree)
        assert len(dataset) == 6
        dataset.verify()
        before = tree_manifest(own_tree)
        assert len(dataset.images(5, "wrist")) == 23
        assert tree_manifest(own_tree) == before


def test_what_lies_there_instead_of_a_dataset_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.mcap").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "manifest.json").write_text("{}")
    for name, message in {
        "nowhere": "nowhere: no such folder. Look at the path, or run the ingest stage first",
        "notes.mcap": "notes.mcap: a file, a dataset is a folder. `gripline ingest` makes a dataset of recordings",
        "empty": "empty: not a dataset, there is no meta/info.json. Run the ingest stage first",
        "all": "all: a manifest of datasets, which this command does not take. Give a dataset that it names",
    }.items():
        with pytest.raises(DatasetError, match=message):
            Dataset.open(tmp_path / name)
