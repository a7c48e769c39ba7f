"""What cannot be converted is refused by name, and then nothing is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.convert.convert import FORMATS, convert
from components.convert.options import Options
from components.core.errors import DatasetError, InputError, UsageError
from components.core.spec import Embodiment, StateGroup
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import Part, parts_of
from components.dataset.reader import Dataset

Make = Callable[..., EpisodeFrames]
Write = Callable[..., Path]


def refused(parts: list[Part], out: Path, to: str, error: type[Exception], match: str, **changes: object) -> None:
    """Nothing is written where `convert` raises, not even under another name."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(error, match=match):
        convert(parts, out, to, **changes)  # type: ignore[arg-type]
    assert sorted(out.parent.iterdir()) == before


def test_a_format_that_nobody_writes(tree: Path, tmp_path: Path) -> None:
    refused(parts_of(tree), tmp_path / "out", "zarr", UsageError, "expected one of hdf5, rlds, mcap")


def test_a_folder_that_holds_something(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("kept")
    refused(parts_of(tree), tmp_path / "out", "mcap", UsageError, "there already. Choose another folder")
    assert (tmp_path / "out/mine.txt").read_text() == "kept"
    (tmp_path / "file").write_text("kept")
    refused(parts_of(tree), tmp_path / "file", "mcap", UsageError, "is a file")


def test_an_empty_folder_is_as_good_as_none(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert convert(parts_of(tree), tmp_path / "out", "mcap").files == 3


def test_jpeg_in_hdf5(tree: Path, tmp_path: Path) -> None:
    options = Options(pictures="jpeg")
    refused(parts_of(tree), tmp_path / "out", "hdf5", UsageError, "raw pictures", options=options)


def test_no_episode_a_file(tree: Path, tmp_path: Path) -> None:
    refused(parts_of(tree), tmp_path / "out", "rlds", UsageError, "at least 1", options=Options(per_file=0))


@pytest.mark.parametrize("name", ["f" * 64, "", "1"])
def test_an_episode_that_is_not_there(tree: Path, tmp_path: Path, name: str) -> None:
    refused(parts_of(tree), tmp_path / "out", "hdf5", DatasetError, f"no episode '{name}", episodes=["1" * 64, name])


def test_an_id_that_could_be_several(make_episode: Make, write_tree: Write, tmp_path: Path) -> None:
    episodes = [replace(make_episode(seed), episode_id="abcdef" + f"{seed}" * 58) for seed in range(2)]
    parts = parts_of(write_tree(tmp_path / "tree", episodes))
    refused(parts, tmp_path / "out", "hdf5", DatasetError, "2 episodes begin with 'abcdef'", episodes=["abcdef"])


@pytest.mark.parametrize("to", FORMATS)
def test_a_changed_number(make_episode: Make, write_tree: Write, tmp_path: Path, to: str) -> None:
    tree = write_tree(tmp_path / "tree", [make_episode(seed) for seed in range(2)])
    path = next(tree.glob("data/*/*.parquet"))
    data = bytearray(path.read_bytes())
    found = data.find(make_episode(1).action[3].tobytes()[:12])
    assert found > 0
    data[found] ^= 1
    path.write_bytes(data)
    refused(parts_of(tree), tmp_path / "out", to, DatasetError, "episode 1 .*differ from the checksum")


@pytest.mark.parametrize("to", FORMATS)
def test_a_damaged_video(make_episode: Make, write_tree: Write, tmp_path: Path, to: str) -> None:
    tree = write_tree(tmp_path / "tree", [make_episode(seed) for seed in range(2)])
    path = next(tree.glob("videos/*fixed/*/*.mp4"))
    path.write_bytes(path.read_bytes()[:4000])
    refused(parts_of(tree), tmp_path / "out", to, InputError, "episode . .*mp4")


def test_a_clock_that_runs_backwards_has_no_place_in_mcap(
    make_episode: Make, write_tree: Write, tmp_path: Path
) -> None:
    time_s = make_episode(1).time_s.copy()
    time_s[4] = 0.01
    tree = write_tree(tmp_path / "tree", [make_episode(1, time_s=time_s)])
    refused(parts_of(tree), tmp_path / "out", "mcap", DatasetError, "runs backwards.*Convert it to hdf5 or rlds")
    assert convert(parts_of(tree), tmp_path / "rlds", "rlds").episodes == 1


@pytest.mark.parametrize("to", FORMATS)
def test_times_that_are_none(make_episode: Make, write_tree: Write, tmp_path: Path, to: str) -> None:
    time_s = make_episode(1).time_s.copy()
    time_s[4] = np.nan
    tree = write_tree(tmp_path / "tree", [make_episode(1, time_s=time_s)])
    refused(parts_of(tree), tmp_path / "out", to, DatasetError, "are no times")


def test_whole_numbers_that_a_float64_cannot_hold(make_episode: Make, write_tree: Write, tmp_path: Path) -> None:
    episode = make_episode(1)
    extras = episode.extras | {"observation.ticks": np.full((len(episode), 1), 2**53 + 1)}
    tree = write_tree(tmp_path / "tree", [replace(episode, extras=extras)])
    refused(
        parts_of(tree), tmp_path / "out", "mcap", DatasetError, r"observation.ticks holds whole numbers above 2\^53"
    )
    assert convert(parts_of(tree), tmp_path / "hdf5", "hdf5").episodes == 1


def test_who_moved_the_robot_by_an_unknown_number(make_episode: Make, write_tree: Write, tmp_path: Path) -> None:
    episode = make_episode(1)
    extras = episode.extras | {"control_source": np.full((len(episode), 1), 9)}
    tree = write_tree(tmp_path / "tree", [replace(episode, extras=extras)])
    refused(parts_of(tree), tmp_path / "out", "mcap", DatasetError, r"control_source is \[9\], expected an index")


def test_an_episode_without_the_depth_of_the_others(make_episode: Make, write_tree: Write, tmp_path: Path) -> None:
    episodes = [make_episode(0), replace(make_episode(1), depth={})]
    parts = parts_of(write_tree(tmp_path / "tree", episodes))
    refused(parts, tmp_path / "out", "rlds", DatasetError, "no depth of 'front'.*Leave it out with --episode")
    assert convert(parts, tmp_path / "only", "rlds", episodes=["000000"]).episodes == 1
    assert convert(parts, tmp_path / "hdf5", "hdf5").episodes == 2


def test_a_record_that_is_too_large(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.convert.rlds_files.MAX_RECORD_BYTES", 10_000)
    refused(parts_of(tree), tmp_path / "out", "rlds", DatasetError, "larger than 2 GiB. Convert with --pictures jpeg")


def test_two_columns_of_one_name(make_episode: Make, write_tree: Write, cell: Embodiment, tmp_path: Path) -> None:
    kept = (*cell.observation.kept, StateGroup("twin", ("a",), "m", "fixed_image"))
    body = replace(cell, observation=replace(cell.observation, kept=kept))
    episode = make_episode(1)
    extras = episode.extras | {"observation.fixed_image": np.zeros((len(episode), 1), np.float32)}
    parts = parts_of(write_tree(tmp_path / "tree", [replace(episode, extras=extras)], body))
    refused(parts, tmp_path / "out", "hdf5", DatasetError, "'obs/fixed_image' in hdf5.*Name the stream differently")
    assert convert(parts, tmp_path / "mcap", "mcap").episodes == 1


def test_words_that_no_attribute_holds(make_episode: Make, write_tree: Write, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", [make_episode(1, instruction="open\0it")])
    refused(parts_of(tree), tmp_path / "out", "hdf5", DatasetError, "instruction cannot be written")
    assert convert(parts_of(tree), tmp_path / "mcap", "mcap").episodes == 1
    assert Dataset.open(tree).row(0)["instruction"] == "open\0it"


def test_a_place_inside_a_dataset(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"lies in the dataset .*tree"):
        convert(parts_of(tree), tree / "out", "hdf5")
    Dataset.open(tree).verify()
