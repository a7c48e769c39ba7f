"""Whoever changes a converted file makes another episode of it; whoever only packs it anew does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter

from components.convert.convert import FORMATS
from components.core.episode import Episode, episode_id
from components.core.errors import FormatError
from components.formats.carried import CALIBRATION, CHECKSUM, EPISODE_ID, KEY
from components.formats.registry import find_sources, open_recording, read, read_part
from components.formats.rlds.example import example_bytes, parse_example
from components.formats.rlds.tfrecord import framed, framing, payload

Copy = Callable[[str], Path]
# What is done to the first episode: a change of its words, or of its columns.
Change = Callable[[dict[str, Any]], None]
IDS = [f"{seed}" * 64 for seed in range(3)]


def edit_hdf5(root: Path, change: Change) -> None:
    """`change` gets the attributes of the first demo and may replace some."""
    with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
        change(file["data/demo_0"].attrs)


def edit_rlds(root: Path, change: Change) -> None:
    """`change` gets the lists of the only record of the split val."""
    path = next(root.rglob("*-val.tfrecord*"))
    values = parse_example(payload(path, framing(path, where="").spans[0], where=""), where="")
    change(values)
    path.write_bytes(b"".join(framed(example_bytes(values))))


def edit_mcap(
    root: Path, change: Change, *, chunk_size: int = 1 << 20, touched: dict[str, bytes] | None = None
) -> None:
    """`change` gets each metadata record of the first file; `touched`: topic -> what its first message becomes."""
    path = min(root.rglob("*.mcap"))
    with path.open("rb") as stream:
        reader = make_reader(stream)
        messages = list(reader.iter_messages())
        records = [(record.name, dict(record.metadata)) for record in reader.iter_metadata()]
    with path.open("wb") as stream:
        writer = McapWriter(stream, chunk_size=chunk_size, compression=CompressionType.NONE)
        writer.start(profile="ros2")
        channels: dict[str, int] = {}
        left = dict(touched or {})
        for schema, channel, message in messages:
            if channel.topic not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.topic] = writer.register_channel(channel.topic, channel.message_encoding, number)
            data = left.pop(channel.topic, message.data)
            writer.add_message(channels[channel.topic], message.log_time, data, message.publish_time)
        for name, words in records:
            change(words)
            writer.add_metadata(name, words)
        writer.finish()


EDIT = {"hdf5": edit_hdf5, "rlds": edit_rlds, "mcap": edit_mcap}


def put(to: str, name: str, value: str) -> Change:
    """Replaces a word of an episode, wherever the format has it."""

    def change(words: dict[str, Any]) -> None:
        key = f"episode_metadata/{name}" if to == "rlds" else name
        if key in words:
            words[key] = [value.encode()] if to == "rlds" else value

    return change


def first_of(root: Path) -> Episode:
    (episode,) = (e for e in read(root) if e.carried_id not in IDS[1:])
    return episode


def require_another(root: Path) -> None:
    episode = first_of(root)
    assert (episode.carried_id, episode.extra["identity"]) == ("", "carried id dropped: columns or words changed")
    assert episode_id(episode) not in IDS
    assert sorted(e.carried_id for e in read(root))[1:] == IDS[1:]


@pytest.mark.parametrize("word", ["task", "embodiment", "robot_id", EPISODE_ID, CHECKSUM])
@pytest.mark.parametrize("to", FORMATS)
def test_a_changed_word_that_the_id_covers(own_copy: Copy, to: str, word: str) -> None:
    root = own_copy(to)
    EDIT[to](root, put(to, word, "f" * 64))
    require_another(root)


@pytest.mark.parametrize("to", FORMATS)
def test_provenance_may_be_corrected(own_copy: Copy, to: str) -> None:
    root = own_copy(to)
    EDIT[to](root, put(to, "licence", "MIT"))
    episode = first_of(root)
    assert (episode.carried_id, episode.provenance.licence) == (IDS[0], "MIT")


def test_another_instruction_in_hdf5(own_copy: Copy) -> None:
    root = own_copy("hdf5")
    edit_hdf5(root, put("hdf5", "instruction", "push it"))
    require_another(root)
    assert first_of(root).instruction == "push it"


def test_another_instruction_in_one_step_of_rlds(own_copy: Copy) -> None:
    root = own_copy("rlds")
    edit_rlds(root, lambda values: values["steps/language_instruction"].__setitem__(3, b"push it"))
    require_another(root)


def test_another_instruction_in_mcap(own_copy: Copy) -> None:
    root, text = own_copy("mcap"), b"push it\0"
    data = b"\0\1\0\0" + len(text).to_bytes(4, "little") + text
    edit_mcap(root, lambda words: None, touched={"/instruction": data})
    require_another(root)
    assert first_of(root).instruction == "push it"


@pytest.mark.parametrize("column", ["actions", "obs/state", "obs/joints", "control_source", "time"])
def test_another_number_in_hdf5(own_copy: Copy, column: str) -> None:
    root = own_copy("hdf5")
    with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
        dataset = file[f"data/demo_0/{column}"]
        values = dataset[()]
        values.reshape(-1)[-1] = 3
        dataset[...] = values
    require_another(root)


@pytest.mark.parametrize("column", ["action", "observation/state", "control_source"])
def test_another_number_in_rlds(own_copy: Copy, column: str) -> None:
    def change(values: dict[str, Any]) -> None:
        values[f"steps/{column}"][2] += 1

    root = own_copy("rlds")
    edit_rlds(root, change)
    require_another(root)


def test_another_time_in_rlds(own_copy: Copy) -> None:
    root = own_copy("rlds")
    edit_rlds(root, lambda values: values["steps/observation/time"].__setitem__(6, np.float64(0.4).tobytes()))
    require_another(root)


@pytest.mark.parametrize("topic", ["/action", "/observation/state"])
def test_another_number_in_mcap(own_copy: Copy, topic: str) -> None:
    root = own_copy("mcap")
    with min(root.rglob("*.mcap")).open("rb") as stream:
        data = next(message.data for _, _, message in make_reader(stream).iter_messages(topics=[topic]))
    # The last 16 bytes are the lengths of velocity and effort with their padding; before them is a position.
    place = len(data) - 17
    edit_mcap(root, lambda words: None, touched={topic: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]})
    require_another(root)


def test_a_lost_demo_column_is_no_whole_episode(own_copy: Copy) -> None:
    root = own_copy("hdf5")
    with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
        del file["data/demo_0/obs/joints"]
    require_another(root)
    assert "joints" not in first_of(root).streams


def test_other_pixels_are_the_same_episode(own_copy: Copy) -> None:
    root = own_copy("hdf5")
    with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
        file["data/demo_0/obs/fixed_image"][2] = 7
    assert first_of(root).carried_id == IDS[0]


@pytest.mark.parametrize("chunk_size", [1, 1 << 30])
def test_mcap_in_other_chunks_is_the_same_episode(own_copy: Copy, chunk_size: int) -> None:
    root = own_copy("mcap")
    before = min(root.rglob("*.mcap")).read_bytes()
    edit_mcap(root, lambda words: None, chunk_size=chunk_size)
    assert min(root.rglob("*.mcap")).read_bytes() != before
    assert first_of(root).carried_id == IDS[0]


def test_a_demo_that_somebody_adds_has_no_id_to_carry(own_copy: Copy) -> None:
    root = own_copy("hdf5")
    with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
        file.copy("data/demo_0", "data/demo_9")
        for name in (EPISODE_ID, CHECKSUM):
            del file["data/demo_9"].attrs[name]
    found = list(read(root))
    assert [e.carried_id for e in found] == [*IDS, ""]
    np.testing.assert_array_equal(found[3].streams["action"].values, found[0].streams["action"].values)


@pytest.mark.parametrize("text", ["{", '{"version": 2}', '{"version": 1, "mapping": {"streams": 3}}', "[]"])
@pytest.mark.parametrize("to", FORMATS)
def test_where_its_own_description_is_damaged_it_is_read_as_anybodys(own_copy: Copy, to: str, text: str) -> None:
    root = own_copy(to)
    if to == "hdf5":
        with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
            del file[KEY]
            file.create_dataset(KEY, data=text)
    else:
        EDIT[to](root, put(to, KEY, text))
    found = min(find_sources(root)[0], key=lambda one: ("train" in one.uri, one.uri))
    recording = open_recording(found)
    assert [problem.code for problem in recording.problems] == ["bad_metadata"]
    episode = read_part(recording, recording.parts[0])
    assert recording.mapping.name != "gripline"
    assert episode.carried_id == ""
    assert "action" in episode.streams


@pytest.mark.parametrize("to", FORMATS)
def test_a_damaged_calibration_is_an_error_of_its_episode(own_copy: Copy, to: str) -> None:
    root = own_copy(to)
    if to == "hdf5":
        with h5py.File(next(root.rglob("*.hdf5")), "r+") as file:
            file[f"data/demo_0/{CALIBRATION}"][()] = b"{" * 8
    else:
        EDIT[to](root, put(to, CALIBRATION, "[1]"))
    found = min(find_sources(root)[0], key=lambda one: ("train" in one.uri, one.uri))
    recording = open_recording(found)
    with pytest.raises(FormatError, match=re.escape(CALIBRATION)) as caught:
        read_part(recording, recording.parts[0])
    assert caught.value.code == "bad_metadata"


def test_bags_of_several_files_carry_no_id(own_copy: Copy) -> None:
    root = own_copy("mcap")
    names = sorted(path.name for path in root.iterdir())[:2]
    files = "".join(f"  - {name}\n" for name in names)
    (root / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  relative_file_paths:\n{files}")
    (episode,) = read(root)
    assert episode.carried_id == ""
