"""Files of every format give back the episodes of the dataset: ids, numbers, pictures, words and provenance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.convert.convert import FORMATS, convert
from components.convert.options import Options
from components.core.episode import PICTURES, Episode, Stream
from components.core.files import tree_manifest
from components.core.params import Ingest
from components.core.spec import Embodiment
from components.dataset.edits.delete import delete
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import parts_of
from components.dataset.reader import Dataset
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import Mapping
from components.formats.registry import find_sources, open_recording, read, read_part
from components.ingest.ingest import ingest

Make = Callable[..., EpisodeFrames]
formats = pytest.mark.parametrize("to", FORMATS)


def elapsed_ns(episode: Episode, stream: Stream) -> list[int]:
    start = min(int(one.time_ns[0]) for one in episode.streams.values())
    return (stream.time_ns - start).tolist()


def pixels(stream: Stream) -> list[np.ndarray]:
    decode = decode_image if stream.kind == "image" else decode_depth
    return [decode(frame, where=stream.name) for frame in stream.values]


def number_of(dataset: Dataset) -> dict[str, int]:
    ids = dataset.table(["episode_id"])["episode_id"].to_pylist()
    return dict(zip(ids, dataset.indices.tolist(), strict=True))


def sides(episode: Episode) -> dict[str, str]:
    return {key: episode.extra[key] for key in ("original_source_uri", "original_source_format")}


@formats
def test_every_stream_comes_back(converted: dict[str, Path], tree: Path, to: str) -> None:
    before = {episode.carried_id: episode for episode in read(tree)}
    after = {episode.carried_id: episode for episode in read(converted[to])}
    assert after.keys() == before.keys()
    for name, episode in after.items():
        assert sorted(episode.streams) == sorted(before[name].streams)
        for stream, expected in ((s, before[name].streams[s.name]) for s in episode.streams.values()):
            assert (stream.kind, stream.names, stream.form) == (expected.kind, expected.names, expected.form)
            assert elapsed_ns(episode, stream) == elapsed_ns(before[name], expected)
            if stream.kind in PICTURES:
                assert all(np.array_equal(*pair) for pair in zip(pixels(stream), pixels(expected), strict=True))
            else:
                np.testing.assert_array_equal(stream.values, expected.values)


@formats
def test_pictures_are_those_that_the_dataset_shows(converted: dict[str, Path], tree: Path, to: str) -> None:
    dataset = Dataset.open(tree)
    for episode in read(converted[to]):
        number = number_of(dataset)[episode.carried_id]
        np.testing.assert_array_equal(pixels(episode.streams["fixed"]), dataset.images(number, "fixed"))
        np.testing.assert_array_equal(pixels(episode.streams["front"]), dataset.depth(number, "front"))


@formats
def test_words_provenance_and_calibration(
    converted: dict[str, Path], make_episode: Make, cell: Embodiment, to: str
) -> None:
    for episode in read(converted[to]):
        given = make_episode(int(episode.carried_id[0], 16))
        assert (episode.task, episode.instruction, episode.embodiment) == (given.task, given.instruction, cell.name)
        assert episode.calibration == given.calibration
        found = episode.provenance
        for key in ("robot_id", "collector_id", "site", "recorded_at", "licence", "consent_ref", "outcome"):
            assert getattr(found, key) == given.row[key]
        assert sides(episode) == {
            "original_source_uri": given.row["source_uri"],
            "original_source_format": given.row["source_format"],
        }
        assert not any(key.startswith("gripline") for key in episode.extra)
        assert "identity" not in episode.extra
        assert "clock" not in episode.extra


@formats
def test_ingested_again_they_are_the_same_episodes(
    converted: dict[str, Path], tree: Path, cell: Embodiment, params: Ingest, tmp_path: Path, to: str
) -> None:
    report = ingest([converted[to]], tmp_path / "again", params, cell, processes=0)
    assert (report.episodes_out, [entry.detail for entry in report.quarantined]) == (3, [])
    before, after = Dataset.open(tree), Dataset.open(tmp_path / "again")
    after.verify()
    kept = ["episode_id", "task", "instruction", "embodiment", "robot_id", "collector_id", "site", "recorded_at"]
    kept += ["licence", "consent_ref", "outcome", "calibration_digest"]
    rows = [dataset.table(kept).sort_by("episode_id").to_pylist() for dataset in (before, after)]
    assert rows[0] == rows[1]
    numbers = [number_of(dataset) for dataset in (before, after)]
    for name, number in numbers[0].items():
        left, right = before.frames(number), after.frames(numbers[1][name])
        for column in ("observation.state", "observation.joints", "action", "control_source"):
            np.testing.assert_array_equal(left[column], right[column])


@formats
def test_the_same_dataset_gives_the_same_bytes(converted: dict[str, Path], tree: Path, tmp_path: Path, to: str) -> None:
    convert(parts_of(tree), tmp_path / "again", to)
    assert tree_manifest(tmp_path / "again") == tree_manifest(converted[to])


@formats
def test_another_mapping_reads_other_streams_of_the_same_episode(converted: dict[str, Path], to: str) -> None:
    found = find_sources(converted[to])[0][0]
    own = open_recording(found).mapping
    mine = own.model_copy(update={"streams": {"arm": own.streams["action"], "hand": own.streams["hand"]}})
    recording = open_recording(found, [Mapping.model_validate(mine.model_dump() | {"name": "mine"})])
    episode = read_part(recording, recording.parts[0])
    assert sorted(episode.streams) == ["arm", "hand"]
    assert len(episode.carried_id) == 64


@pytest.mark.parametrize("to", ["rlds", "mcap"])
def test_jpeg_keeps_ids_and_comes_close(tree: Path, tmp_path: Path, to: str) -> None:
    done = convert(parts_of(tree), tmp_path / to, to, options=Options(pictures="jpeg"))
    assert done.pictures == "jpeg"
    before = {episode.carried_id: episode for episode in read(tree)}
    for episode in read(tmp_path / to):
        expected = before[episode.carried_id]
        left, right = (np.array(pixels(e.streams["fixed"]), np.float64) for e in (episode, expected))
        assert 0 < np.abs(left - right).mean() < 3
        np.testing.assert_array_equal(pixels(episode.streams["front"]), pixels(expected.streams["front"]))


@formats
def test_what_was_converted_twice_is_still_the_same(
    converted: dict[str, Path], cell: Embodiment, params: Ingest, tmp_path: Path, to: str
) -> None:
    ingest([converted[to]], tmp_path / "again", params, cell, processes=0)
    other = {"hdf5": "mcap", "mcap": "rlds", "rlds": "hdf5"}[to]
    convert(parts_of(tmp_path / "again"), tmp_path / other, other)
    found = [episode.carried_id for episode in read(tmp_path / other)]
    assert sorted(found) == [f"{seed}" * 64 for seed in range(3)]


@formats
def test_an_episode_that_knows_next_to_nothing(
    make_episode: Make, write_tree: Callable[..., Path], tmp_path: Path, to: str
) -> None:
    bare = make_episode(1)
    row = dict.fromkeys(bare.row, "") | {"embodiment": bare.row["embodiment"]}
    write_tree(tmp_path / "tree", [replace(bare, row=row, calibration={}, instruction="")])
    convert(parts_of(tmp_path / "tree"), tmp_path / to, to)
    (episode,) = read(tmp_path / to)
    assert (episode.carried_id, episode.task) == (bare.episode_id, bare.task)
    assert (episode.calibration, episode.provenance.robot_id, episode.provenance.outcome) == ({}, "", "unknown")
    assert episode.instruction == ""


@formats
def test_a_deleted_episode_is_in_no_file(
    make_episode: Make, write_tree: Callable[..., Path], tmp_path: Path, to: str
) -> None:
    tree = write_tree(tmp_path / "tree", [make_episode(seed) for seed in range(3)])
    delete(tree, ["1" * 64])
    assert convert(parts_of(tree), tmp_path / to, to).episodes == 2
    found = {episode.carried_id[0]: episode for episode in read(tmp_path / to)}
    assert sorted(found) == ["0", "2"]
    np.testing.assert_array_equal(found["2"].streams["action"].values, make_episode(2).action)
    np.testing.assert_array_equal(pixels(found["2"].streams["front"]), make_episode(2).depth["front"])
