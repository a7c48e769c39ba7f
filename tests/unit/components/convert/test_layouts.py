"""The files as other people's programs look at them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from beside import UNIT
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from components.convert.convert import convert
from components.convert.options import Options
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import parts_of
from components.formats.mapping import EpisodeRule
from components.formats.markers import parse_marker
from components.formats.registry import find_sources, open_recording, read
from components.formats.rlds.example import parse_example
from components.formats.rlds.tfrecord import framing, payload

BRIDGE = UNIT.parents[2].parent / "shared/data/rlds/bridge_dataset/1.0.0"
Make = Callable[..., EpisodeFrames]
Write = Callable[..., Path]


def test_hdf5_is_laid_out_as_robomimic_wants(converted: dict[str, Path], make_episode: Make) -> None:
    (path,) = converted["hdf5"].iterdir()
    with h5py.File(path) as file:
        data = file["data"]
        assert sorted(data) == ["demo_0", "demo_1", "demo_2"]
        assert data.attrs["total"] == 7 + 9 + 11
        environment = json.loads(data.attrs["env_args"])
        assert environment["env_kwargs"] == {"control_freq": 20, "embodiment": "sawyer-cell"}
        assert (sorted(environment), environment["type"]) == (["env_kwargs", "env_name", "type"], 2)
        assert [bytes(name).decode() for name in file["mask/train"][:]] == ["demo_1", "demo_2"]
        assert [bytes(name).decode() for name in file["mask/valid"][:]] == ["demo_0"]
        for seed in range(3):
            demo, given = data[f"demo_{seed}"], make_episode(seed)
            assert sorted(demo["obs"]) == ["fixed_image", "front_depth", "joints", "state", "wrist_image"]
            assert demo.attrs["num_samples"] == len(given)
            assert demo["obs/fixed_image"].shape == (len(given), 32, 32, 3)
            assert demo["obs/fixed_image"].chunks == (1, 32, 32, 3)
            np.testing.assert_array_equal(demo["obs/front_depth"], given.depth["front"])
            np.testing.assert_array_equal(demo["actions"], given.action)
            np.testing.assert_array_equal(demo["time"], given.time_s)
            assert demo["actions"].dtype == np.float32
            assert demo["dones"][:].tolist() == [0] * (len(given) - 1) + [1]
            assert demo["rewards"][:].sum() == (given.row["outcome"] == "success")


def test_rlds_steps_and_rewards(converted: dict[str, Path], make_episode: Make) -> None:
    recording = open_recording(min(find_sources(converted["rlds"])[0], key=lambda found: found.uri))
    assert recording.parts == ("record-000000", "record-000001")
    span = framing(recording.path, where="").spans[0]
    values = parse_example(payload(recording.path, span, where=""), where="")
    given = make_episode(1)
    count = len(given)
    assert values["steps/is_first"].tolist() == [1] + [0] * (count - 1)
    for name in ("is_last", "is_terminal", "reward"):
        assert values[f"steps/{name}"].tolist() == [0] * (count - 1) + [1]
    assert values["steps/discount"].tolist() == [1] * count
    np.testing.assert_array_equal(np.asarray(values["steps/action"]).reshape(count, 4), given.action)
    np.testing.assert_array_equal(np.frombuffer(b"".join(values["steps/observation/time"]), "<f8"), given.time_s)
    assert values["steps/language_instruction"] == [given.instruction.encode()] * count
    assert values["episode_metadata/site"] == [b"north"]


def test_rlds_says_what_it_holds(converted: dict[str, Path]) -> None:
    folder = converted["rlds"] / "sawyer_cell/1.0.0"
    said = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
    steps = said["steps"]["sequence"]["feature"]["featuresDict"]["features"]
    observation = steps["observation"]["featuresDict"]["features"]
    assert observation["fixed"]["image"] == {
        "dtype": "uint8",
        "encodingFormat": "png",
        "shape": {"dimensions": ["32", "32", "3"]},
    }
    assert observation["front_depth"]["image"]["dtype"] == "uint16"
    assert observation["time"]["tensor"] == {"dtype": "float64", "encoding": "bytes", "shape": {}}
    assert observation["state"]["tensor"]["shape"] == {"dimensions": ["4"]}
    assert observation["state"]["description"] == "hand_x, hand_y, hand_z, gripper_opening"
    info = json.loads((folder / "dataset_info.json").read_text())
    assert (info["name"], info["version"], info["fileFormat"]) == ("sawyer_cell", "1.0.0", "tfrecord")
    for split in info["splits"]:
        (path,) = folder.glob(f"sawyer_cell-{split['name']}.tfrecord-00000-of-00001")
        records = int(split["shardLengths"][0])
        # Framing takes 16 bytes a record and does not count.
        assert int(split["numBytes"]) == path.stat().st_size - 16 * records
    assert {split["name"]: split["shardLengths"] for split in info["splits"]} == {"train": ["2"], "val": ["1"]}


@pytest.mark.skipif(not BRIDGE.is_dir(), reason="the folder of sample recordings is not beside this repository")
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_rlds_describes_itself_as_tensorflow_datasets_does(converted: dict[str, Path], name: str) -> None:
    theirs = json.loads((BRIDGE / name).read_text())
    ours = json.loads((converted["rlds"] / "sawyer_cell/1.0.0" / name).read_text())
    if name == "dataset_info.json":
        assert ours.keys() <= theirs.keys()
        assert ours["splits"][0].keys() == theirs["splits"][0].keys()
        assert ours["splits"][0]["filepathTemplate"] == theirs["splits"][0]["filepathTemplate"]
        return
    known = kinds(theirs)
    assert kinds(ours) <= known


def kinds(node: Any) -> set[tuple[str, tuple[str, ...]]]:
    """Class and keys of every feature."""
    found = set()
    if isinstance(node, dict):
        if "pythonClassName" in node:
            found.add((node["pythonClassName"], tuple(sorted(node.keys() - {"description", "pythonClassName"}))))
        for child in node.values():
            found |= kinds(child)
    return found


def test_mcap_for_the_tools_of_ros(converted: dict[str, Path], make_episode: Make) -> None:
    paths = sorted(converted["mcap"].iterdir())
    assert [path.name for path in paths] == [f"episode_{number:06d}.mcap" for number in range(3)]
    given = make_episode(2)
    with paths[2].open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        messages: dict[str, list[Any]] = {}
        for _, channel, message, decoded in reader.iter_decoded_messages():
            messages.setdefault(channel.topic, []).append((message.log_time, decoded))
    assert sorted(messages) == [
        "/action", "/camera/fixed/compressed", "/camera/front/compressedDepth", "/camera/wrist/compressed",
        "/control_source", "/episode", "/instruction", "/observation/joints", "/observation/state",
    ]  # fmt: skip
    # 2026-03-04 05:06:07 an hour east of Greenwich, and 12.3 ms.
    start = 1_772_597_167_012_300_000
    for tick, (log_ns, action) in enumerate(messages["/action"]):
        assert log_ns == start + tick * 50_000_000
        assert action.header.stamp.sec * 10**9 + action.header.stamp.nanosec == log_ns
        assert list(action.name) == ["dx", "dy", "dz", "effort"]
        np.testing.assert_array_equal(np.array(action.position, np.float32), given.action[tick])
    assert messages["/camera/fixed/compressed"][0][1].format == "png"
    assert messages["/camera/front/compressedDepth"][0][1].format == "16UC1; compressedDepth png"
    assert [said.data for _, said in messages["/control_source"]][:4] == ["policy", "human", "blend", "reset"]
    marks = [(log_ns, parse_marker(said.data, EpisodeRule())) for log_ns, said in messages["/episode"]]
    assert [(log_ns, mark.event) for log_ns, mark in marks if mark] == [
        (start, "start"),
        (start + 11 * 50_000_000, "stop"),
    ]
    assert [(mark.task, mark.outcome) for _, mark in marks if mark] == [("drawer-open", ""), ("", "")]


def test_markers_of_mcap_cut_out_all_of_it(converted: dict[str, Path]) -> None:
    found = find_sources(converted["mcap"])[0][1]
    own = open_recording(found).mapping
    rule = EpisodeRule(by="marker", topic="/episode", min_s=0.1)
    recording = open_recording(found, [own.model_copy(update={"episode": rule})])
    (cut,) = recording.cuts
    assert (cut.start_ns, cut.end_ns, cut.outcome, cut.task) == (0, 9 * 50_000_000, "success", "drawer-open")


def test_files_hold_so_many_episodes(tree: Path, tmp_path: Path) -> None:
    done = convert(parts_of(tree), tmp_path / "hdf5", "hdf5", options=Options(per_file=2))
    assert (done.files, done.episodes, done.frames) == (2, 3, 27)
    assert done.bytes == sum(path.stat().st_size for path in (tmp_path / "hdf5").iterdir())
    assert [len(open_recording(found).parts) for found in find_sources(tmp_path / "hdf5")[0]] == [2, 1]
    convert(parts_of(tree), tmp_path / "rlds", "rlds", options=Options(per_file=1))
    names = sorted(path.name for path in (tmp_path / "rlds").rglob("*.tfrecord*"))
    assert names == [
        "sawyer_cell-train.tfrecord-00000-of-00002",
        "sawyer_cell-train.tfrecord-00001-of-00002",
        "sawyer_cell-val.tfrecord-00000-of-00001",
    ]
    assert all(not open_recording(found).problems for found in find_sources(tmp_path / "rlds")[0])


def test_chosen_episodes_by_how_their_ids_begin(tree: Path, tmp_path: Path) -> None:
    done = convert(parts_of(tree), tmp_path / "some", "mcap", episodes=["2" * 64, "000000"])
    assert (done.episodes, done.files) == (2, 2)
    assert [episode.carried_id[0] for episode in read(tmp_path / "some")] == ["0", "2"]


@pytest.mark.parametrize("to", ["hdf5", "rlds", "mcap"])
def test_robots_of_several_kinds_lie_apart(
    tree: Path, make_episode: Make, write_tree: Write, cell: Embodiment, tmp_path: Path, to: str
) -> None:
    other = replace(cell, name="Two Arm", observation=replace(cell.observation, depth=()))
    episode = make_episode(5)
    row = episode.row | {"embodiment": other.name}
    write_tree(tmp_path / "other", [replace(episode, depth={}, row=row)], other)
    done = convert([*parts_of(tree), *parts_of(tmp_path / "other")], tmp_path / to, to)
    assert done.episodes == 4
    assert sorted(path.name for path in (tmp_path / to).iterdir()) == ["sawyer_cell", "two_arm"]
    found = {episode.carried_id[0]: episode.embodiment for episode in read(tmp_path / to)}
    assert found == {"0": "sawyer-cell", "1": "sawyer-cell", "2": "sawyer-cell", "5": "Two Arm"}
