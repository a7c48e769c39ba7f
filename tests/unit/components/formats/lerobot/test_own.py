"""Trees that gripline itself wrote give back what went in: streams, clock, words, provenance and identity."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.episode import episode_id
from components.core.errors import FormatError
from components.core.files import digest_json
from components.core.frames_digest import frames_sha256
from components.core.params import Video
from components.core.spec import SAWYER_CELL
from components.dataset.edits.delete import delete
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter
from components.formats.lerobot import reader

FPS = 20
CALIBRATION = {"fixed": {"k": [1.0, 0.0, 16.0]}}
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32, depth=("depth",)))
DATA = "data/chunk-000/file-000.parquet"


def frames_of(seed: int) -> EpisodeFrames:
    rng, length = np.random.default_rng(seed), 7 + 2 * seed
    pictures = np.repeat(np.full((1, 32, 32, 3), 60 + 40 * seed, np.uint8), length, axis=0)
    row = dict.fromkeys(ROW_COLUMNS, "") | {
        "source_uri": f"site/{seed}.mcap",
        "source_format": "mcap",
        "robot_id": f"cell-{seed}",
        "embodiment": CELL.name,
        "licence": "CC-BY-4.0",
        "outcome": "success",
        "calibration_digest": digest_json(CALIBRATION),
    }
    return EpisodeFrames(
        episode_id=f"{seed:064x}",
        task="drawer-open",
        instruction="pull the drawer open",
        images=dict.fromkeys(CELL.observation.cameras, pictures),
        depth={"depth": rng.integers(0, 60000, (length, 24, 32)).astype(np.uint16)},
        state=rng.normal(size=(length, 4)).astype(np.float32),
        action=rng.uniform(-1, 1, (length, 4)).astype(np.float32),
        time_s=np.arange(length) / FPS + rng.uniform(0, 1e-3, length),
        row=row,
        extras={
            "observation.joints": rng.normal(size=(length, 7)).astype(np.float32),
            "control_source": (np.arange(length) % 2)[:, None],
        },
        calibration=CALIBRATION,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "tree"
    video = Video(codec="h264", crf=12, gop=10, pix_fmt="yuv420p")
    with DatasetWriter(root, CELL, FPS, video) as writer:
        for seed in range(3):
            writer.add_frames(frames_of(seed))
        writer.close({frames_of(seed).episode_id: "train" for seed in range(3)})
    return root


@pytest.fixture
def tree(written: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(written, tmp_path / "tree"))


def test_a_deleted_episode_is_no_episode(trees: ModuleType, tree: Path) -> None:
    delete(tree, [frames_of(1).episode_id])
    recording, opened = trees.open_tree(tree)
    assert (opened.parts, opened.problems) == (("episode_000000", "episode_000002"), ())
    for seed, part in zip((0, 2), opened.parts, strict=True):
        episode = reader.read_part(recording, part)
        np.testing.assert_array_equal(episode.streams["hand"].values, frames_of(seed).state[:, :3])
        np.testing.assert_array_equal(list(episode.streams["depth"].values), frames_of(seed).depth["depth"])
        assert len(episode.streams["wrist"].values) == len(frames_of(seed))
        assert episode_id(episode) == frames_of(seed).episode_id
    with pytest.raises(FormatError, match="there is no such episode"):
        reader.read_part(recording, "episode_000001")


def change_rows(root: Path, **columns: Any) -> None:
    table = pq.read_table(root / DATA)
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), values(table[name]))
    pq.write_table(table, root / DATA)


def test_what_went_in_comes_out(trees: ModuleType, written: Path) -> None:
    recording, opened = trees.open_tree(written)
    assert (opened.dialect, opened.problems, opened.mapping.name) == ("v3.0", (), "gripline")
    for seed, part in enumerate(opened.parts):
        given, episode = frames_of(seed), reader.read_part(recording, part)
        streams = episode.streams
        assert sorted(streams) == [
            "action", "control_source", "depth", "fixed", "gripper", "hand", "joints", "wrist",
        ]  # fmt: skip
        np.testing.assert_array_equal(streams["hand"].values, given.state[:, :3])
        np.testing.assert_array_equal(streams["gripper"].values, given.state[:, 3:])
        np.testing.assert_array_equal(streams["action"].values, given.action)
        np.testing.assert_array_equal(streams["joints"].values, given.extras["observation.joints"])
        np.testing.assert_array_equal(streams["control_source"].values, given.extras["control_source"])
        for stream in streams.values():
            np.testing.assert_array_equal(stream.time_ns, np.rint(given.time_s * 1e9))
        np.testing.assert_array_equal(list(streams["depth"].values), given.depth["depth"])
        assert abs(float(np.mean(list(streams["wrist"].values))) - (60 + 40 * seed)) < 2
        assert streams["hand"].names == ("hand_x", "hand_y", "hand_z")
        assert (streams["hand"].form.units, streams["joints"].form.units) == ("m", "rad")
        assert streams["action"].form.gripper == (-1.0, 1.0)
        assert {stream.kind for stream in streams.values()} == {"action", "control", "depth", "image", "state"}


def test_words_provenance_and_identity(trees: ModuleType, written: Path) -> None:
    episode = trees.read(written, 1)
    assert (episode.task, episode.instruction) == ("drawer-open", "pull the drawer open")
    assert episode.embodiment == CELL.name
    assert episode.calibration == CALIBRATION
    origin = episode.provenance
    assert (origin.robot_id, origin.licence, origin.outcome) == ("cell-1", "CC-BY-4.0", "success")
    assert origin.source_uri == "tree#episode_000001"
    assert episode.extra["original_source_uri"] == "site/1.mcap"
    assert episode.carried_id == episode_id(episode) == f"{1:064x}"


@pytest.mark.parametrize("name", [DATA, "videos/observation.images.wrist/chunk-000/file-000.mp4"])
def test_a_flipped_byte_is_found(trees: ModuleType, tree: Path, name: str) -> None:
    data = bytearray((tree / name).read_bytes())
    data[len(data) // 3] ^= 4
    (tree / name).write_bytes(data)
    with pytest.raises(FormatError, match="differs from the checksum") as caught:
        trees.read(tree, 0)
    assert (caught.value.code, caught.value.where) == ("bad_checksum", f"tree/{name}")


@pytest.mark.parametrize("name", ["meta/info.json", "meta/tasks.parquet", "meta/gripline/episodes.parquet"])
def test_changed_metadata_are_found(trees: ModuleType, tree: Path, name: str) -> None:
    (tree / name).write_bytes((tree / name).read_bytes() + b"\n")
    with pytest.raises(FormatError, match="differs from the checksum"):
        trees.read(tree, 0)


def test_an_edited_tree_loses_the_id_of_what_was_edited(trees: ModuleType, tree: Path) -> None:
    (tree / "meta/gripline/files.json").unlink()
    first = frames_of(0).state.size

    def shifted(column: pa.ChunkedArray) -> pa.Array:
        values = column.combine_chunks().flatten().to_numpy().copy()
        values[:first] += 1
        return pa.FixedSizeListArray.from_arrays(pa.array(values), type=column.type)

    change_rows(tree, **{"observation.state": shifted})
    episode = trees.read(tree, 0)
    assert episode.carried_id == ""
    assert episode.extra["identity"] == "carried id dropped: frames changed"
    assert episode_id(episode) != frames_of(0).episode_id
    assert trees.read(tree, 1).carried_id == frames_of(1).episode_id


def test_without_its_own_folder_it_is_a_lerobot_tree_like_any(trees: ModuleType, tree: Path) -> None:
    shutil.rmtree(tree / "meta/gripline")
    episode = trees.read(tree, 0)
    assert sorted(episode.streams) == ["action", "fixed", "joints", "state", "wrist"]
    assert episode.carried_id == ""
    assert episode.instruction == "pull the drawer open"
    np.testing.assert_array_equal(episode.streams["action"].time_ns, np.rint(frames_of(0).time_s * 1e9))


def test_a_damaged_description_of_the_embodiment(trees: ModuleType, tree: Path) -> None:
    (tree / "meta/gripline/files.json").unlink()
    (tree / "meta/gripline/embodiment.json").write_text('{"name": "x"}')
    _, opened = trees.open_tree(tree)
    assert [(p.code, p.where) for p in opened.problems] == [("bad_metadata", "tree/meta/gripline/embodiment.json")]
    assert "state" in trees.read(tree, 0).streams


def test_a_calibration_that_is_not_the_one_named(trees: ModuleType, tree: Path) -> None:
    (tree / "meta/gripline/files.json").unlink()
    (path,) = (tree / "meta/gripline/calibrations").iterdir()
    path.write_text('{"calibration": {"fixed": {}}}')
    with pytest.raises(FormatError, match="differs from the digest in its name"):
        trees.read(tree, 0)


def test_what_a_broken_off_writer_left_is_no_part_of_it(trees: ModuleType, tree: Path) -> None:
    path = tree / "meta/episodes/chunk-000/file-000.parquet"
    shutil.copy(path, path.with_name("file-001.parquet"))
    _, opened = trees.open_tree(tree)
    assert len(opened.parts) == 3
    path.with_name("file-001.parquet").write_bytes(b"PAR1 half")
    assert trees.open_tree(tree)[1].problems == ()


def test_a_tree_in_the_middle_of_a_commit(trees: ModuleType, tree: Path) -> None:
    (tree / "meta/gripline/.committed").mkdir()
    with pytest.raises(FormatError, match="was broken off") as caught:
        trees.open_tree(tree)
    assert caught.value.code == "unfinished"


def test_the_checksum_of_frames() -> None:
    columns = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2))}
    digest = frames_sha256(columns, ["task", "words"])
    assert digest == frames_sha256(dict(reversed(columns.items())), ("task", "words"))
    assert digest == frames_sha256({**columns, "b": columns["b"].astype(">f4")}, ["task", "words"])
    for other in (
        {**columns, "b": columns["b"].astype(np.float64)},
        {**columns, "a": np.ones(4)},
        {"a": columns["a"]},
        {"b": columns["b"], "c": columns["a"]},
    ):
        assert frames_sha256(other, ["task", "words"]) != digest
    assert frames_sha256(columns, ["task", "word"]) != digest
