from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.images import decode_depth, decode_image
from components.formats.mapping import Mapping, StreamRule
from components.formats.registry import fields, open_recording, read_part
from components.formats.source import Found, Recording


def opened(path: Path, *mappings: Mapping) -> Recording:
    return open_recording(Found(path, "toy.tfrecord", "rlds"), mappings)


def only(path: Path, *mappings: Mapping) -> Episode:
    recording = opened(path, *mappings)
    assert recording.parts == ("record-000000",)
    return read_part(recording, "record-000000")


def rule(source: str, kind: Any = "state", **more: Any) -> StreamRule:
    return StreamRule(source=source, kind=kind, **more)


def test_a_record_is_an_episode(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(seed, 5) for seed in range(2)], records.features())
    recording = opened(path)
    assert (recording.dialect, recording.parts, recording.problems) == ("rlds", ("record-000000", "record-000001"), ())
    episode = read_part(recording, "record-000001")
    assert sorted(episode.streams) == ["action", "image_0", "state"]
    assert (episode.instruction, episode.provenance.source_uri) == (
        "put the carrot on the plate",
        "toy.tfrecord#record-000001",
    )
    assert episode.extra == {"clock": "assumed", "file_path": "/somewhere/1.npy", "has_image_1": "0"}
    written = records.episode(1, 5)
    np.testing.assert_array_equal(
        episode.stream("action").values, written["steps/action"].reshape(5, 7).astype(np.float64)
    )
    assert list(episode.stream("image_0").values) == written["steps/observation/image_0"]
    np.testing.assert_array_equal(episode.stream("state").time_ns, np.arange(5) * 100_000_000)
    assert episode.rate_hz == 10.0


def test_frames_are_read_from_the_file_when_they_are_looked_at(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(0, 4)], records.features())
    frames = only(path).stream("image_0").values
    assert len(pickle.dumps(frames)) < 2000
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EpisodeError, match="became shorter"):
        frames[3]
    path.unlink()
    with pytest.raises(EpisodeError, match="cannot be opened"):
        frames[0]


@pytest.mark.parametrize("last", [0, 2, 4])
def test_steps_behind_the_last_are_ignored_and_it_has_no_action(records: ModuleType, tmp_path: Path, last: int) -> None:
    path = records.write(tmp_path, [records.episode(0, 5, last=last)], records.features())
    if last == 0:
        with pytest.raises(EpisodeError, match="its only step is the last one") as caught:
            only(path)
        assert caught.value.code == "too_short"
        return
    episode = only(path)
    assert {name: len(stream) for name, stream in episode.streams.items()} == {
        "action": last,
        "image_0": last + 1,
        "state": last + 1,
    }


def test_without_features_json_widths_come_from_the_number_of_steps(records: ModuleType, tmp_path: Path) -> None:
    described = only(records.write(tmp_path / "a", [records.episode(0, 4)], records.features()))
    inferred = only(records.write(tmp_path / "b", [records.episode(0, 4)]))
    assert described.streams.keys() == inferred.streams.keys()
    for name in ("action", "state"):
        np.testing.assert_array_equal(described.stream(name).values, inferred.stream(name).values)
    bare = records.episode(0, 4, steps__is_last=None, steps__is_first=None, steps__reward=None)
    assert len(only(records.write(tmp_path / "c", [bare])).stream("action")) == 4


def test_padding_is_no_camera_and_is_named(records: ModuleType, tmp_path: Path) -> None:
    one_view = [records.picture(3)] * 4
    values = records.episode(0, 4, steps__observation__image_2=one_view)
    said = records.features({"image_2": records.image(16, 16, 3)})
    path = records.write(tmp_path, [values], said)
    episode = only(path)
    # A camera that sees the same all the time is one all the same.
    assert [stream.name for stream in episode.of_kind("image")] == ["image_0", "image_2"]
    found = {field.name: field for field in fields(opened(path), "record-000000")}
    assert (found["observation/image_1"].problem, found["observation/image_1"].stream) == ("padding", "")
    assert (found["observation/image_0"].problem, found["observation/image_0"].stream) == ("", "image_0")
    assert (found["language_embedding"].shape, found["language_embedding"].stream) == ((512,), "")
    assert found["episode_metadata/file_path"].count == 1


def test_a_mapping_says_what_is_what(records: ModuleType, tmp_path: Path) -> None:
    seconds = np.float32([0.0, 0.5, 1.5, 1.75])
    values = records.episode(0, 4, steps__observation__clock=seconds, steps__observation__who=[b"human"] * 4)
    path = records.write(tmp_path, [values])
    mapping = Mapping(
        time="observation/clock",
        instruction="episode_metadata/file_path",
        streams={
            "arm": rule("action", "action", select=(0, 2)),
            "control": rule("observation/who", "control"),
            "top": rule("observation/image_0", "image", flip=True),
        },
    )
    episode = only(path, mapping)
    np.testing.assert_array_equal(episode.stream("arm").time_ns, [0, 500_000_000, 1_500_000_000, 1_750_000_000])
    np.testing.assert_array_equal(episode.stream("arm").values, values["steps/action"].reshape(4, 7)[:, [0, 2]])
    np.testing.assert_array_equal(episode.stream("control").values, [[1.0]] * 4)
    upright = decode_image(values["steps/observation/image_0"][1], where="a")
    np.testing.assert_array_equal(episode.stream("top").values[1], upright[::-1])
    assert (episode.instruction, "clock" in episode.extra) == ("/somewhere/0.npy", False)


def test_packed_tensors_and_raw_pictures_are_unpacked(records: ModuleType, tmp_path: Path) -> None:
    forces = np.arange(12, dtype=np.float64).reshape(3, 4)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
    values = records.episode(
        0,
        3,
        steps__observation__force=[zlib.compress(row.tobytes()) for row in forces],
        steps__observation__plain=[row.astype(np.float32).tobytes() for row in forces],
        steps__observation__pixels=pixels.astype(np.int64),
    )
    said = records.features(
        {
            "force": records.tensor("float64", 2, 2, encoding="zlib"),
            "plain": records.tensor("float32", 4, encoding="bytes"),
            "pixels": records.tensor("uint8", 4, 5, 3),
        }
    )
    episode = only(records.write(tmp_path, [values], said))
    np.testing.assert_array_equal(episode.stream("force").values, forces)
    np.testing.assert_array_equal(episode.stream("plain").values, forces)
    np.testing.assert_array_equal(np.stack(list(episode.stream("pixels").values)), pixels)


def test_more_than_was_promised_is_not_unpacked(records: ModuleType, tmp_path: Path) -> None:
    values = records.episode(0, 2, steps__observation__force=[zlib.compress(bytes(1 << 24))] * 2)
    said = records.features({"force": records.tensor("float32", 2, encoding="zlib")})
    with pytest.raises(FormatError, match="a step is not the 8 bytes") as caught:
        only(records.write(tmp_path, [values], said))
    assert caught.value.code == "bad_tensor"


def test_depth_is_read_as_millimetres(records: ModuleType, tmp_path: Path) -> None:
    depth = np.random.default_rng(0).integers(0, 4000, (6, 8), dtype=np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, "PNG")
    values = records.episode(0, 2, steps__observation__depth_0=[buffer.getvalue()] * 2)
    said = records.features({"depth_0": records.image(6, 8, 1, dtype="uint16", encoding="png")})
    stream = only(records.write(tmp_path, [values], said)).stream("depth_0")
    assert stream.kind == "depth"
    np.testing.assert_array_equal(decode_depth(stream.values[1], where="a"), depth)  # type: ignore[arg-type]


def test_raw_depth_is_read_within_its_range(records: ModuleType, tmp_path: Path) -> None:
    depth = np.random.default_rng(0).integers(0, 4000, (2, 4, 5, 1))
    said = records.features({"far": records.tensor("uint16", 4, 5, 1)})
    mapping = Mapping(streams={"far": rule("observation/far", "depth")})
    episode = only(records.write(tmp_path, [records.episode(0, 2, steps__observation__far=depth)], said), mapping)
    np.testing.assert_array_equal(np.stack(list(episode.stream("far").values)), depth[..., 0])
    path = records.write(tmp_path, [records.episode(0, 2, steps__observation__far=depth + 65_000)], said)
    with pytest.raises(EpisodeError, match="holds int64 beyond uint16") as caught:
        only(path, mapping)
    assert caught.value.code == "wrong_type"
    path = records.write(tmp_path, [records.episode(0, 2, steps__observation__far=depth * 0)], said)
    with pytest.raises(EpisodeError, match="no stream holds a sample"):
        only(path, mapping)


def test_every_feature_is_listed_with_what_hinders_it(records: ModuleType, tmp_path: Path) -> None:
    points = {"sequence": {"feature": records.tensor("float32", 2), "length": "-1"}}
    values = records.episode(0, 4, last=2, steps__observation__points=np.zeros(6), steps__odd=np.zeros(3))
    path = records.write(tmp_path, [values], records.features({"points": points}, odd=records.tensor("float32")))
    found = {field.name: field for field in fields(opened(path), "record-000000")}
    assert found["observation/points"].problem == "ragged"
    assert "holds 3 numbers for 4 steps of 1" in found["odd"].problem
    assert (found["action"].count, found["observation/state"].count) == (2, 3)
    bare = {field.name: field for field in fields(opened(records.write(tmp_path / "b", [values])), "record-000000")}
    assert (bare["observation/image_0"].type, bare["language_instruction"].type) == ("image", "bytes")
    assert (bare["action"].type, bare["action"].shape, bare["reward"].shape) == ("float32", (7,), ())


def test_a_time_that_is_not_there_is_said(records: ModuleType, tmp_path: Path) -> None:
    mapping = Mapping(time="observation/clock", streams={"arm": rule("action", "action")})
    with pytest.raises(EpisodeError, match="no feature 'observation/clock' with the time") as caught:
        only(records.write(tmp_path, [records.episode(0, 4)]), mapping)
    assert caught.value.code == "bad_time"


def test_a_built_in_mapping_goes_before_a_guess(
    records: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Mapping(name="known", format=("rlds",), streams={"arm": rule("action", "action")})
    monkeypatch.setattr("components.formats.mapping.built_in_mappings", lambda: (known,))
    assert opened(records.write(tmp_path, [records.episode(0, 4)])).mapping == known


def test_an_action_may_have_parts(records: ModuleType, tmp_path: Path) -> None:
    values = records.episode(
        0,
        4,
        last=3,
        steps__action=None,
        steps__action__arm=np.ones(24, np.float32),
        steps__action__open=np.ones(4, int),
    )
    parts = {"arm": records.tensor("float32", 6), "open": records.tensor("bool")}
    episode = only(records.write(tmp_path, [values], records.features(action=records.nested(parts))))
    assert [(stream.name, np.shape(stream.values)) for stream in episode.of_kind("action")] == [
        ("action_arm", (3, 6)),
        ("action_open", (3, 1)),
    ]


def test_memory_does_not_grow_with_the_file(records: ModuleType, tmp_path: Path) -> None:
    peaks = []
    for count in (4, 16):
        path = records.write(tmp_path / str(count), [records.episode(n, 40) for n in range(count)], records.features())
        recording = opened(path)
        tracemalloc.start()
        for part in recording.parts:
            for frame in read_part(recording, part).stream("image_0").values:
                decode_image(frame, where="a")  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1


def test_an_instruction_may_be_character_codes_and_may_change(records: ModuleType, tmp_path: Path) -> None:
    codes = np.zeros((3, 8), np.int64)
    codes[:, :4] = list(b"push")
    values = records.episode(0, 3, steps__language_instruction=None, steps__observation__instruction=codes)
    assert only(records.write(tmp_path / "a", [values])).instruction == "push"
    values = records.episode(0, 3, steps__language_instruction=[b"push ", b"pull", b"push"])
    episode = only(records.write(tmp_path / "b", [values]))
    assert (episode.instruction, episode.extra["instructions"]) == ("push", "push | pull")


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            {"steps__action": np.zeros(34, np.float32)},
            "wrong_shape",
            "'steps/action' holds 34 numbers for 5 steps of 7",
        ),
        ({"steps__action": np.zeros(35, np.int64)}, "wrong_type", "holds int64, features.json says float32"),
        ({"steps__action": None}, "missing_stream", "no feature 'action' for stream 'action'; there are"),
        ({"steps__action": [b"x"] * 5}, "wrong_type", "holds bytes, expected numbers"),
        ({"steps__observation__image_0": [b"x"] * 4}, "length_mismatch", "holds 4 pictures for 5 steps"),
        ({"steps__observation__image_0": np.zeros(5)}, "wrong_type", "holds float32, expected pictures"),
        ({"steps__language_instruction": [b"\xff"] * 5}, "bad_text", "UnicodeDecodeError"),
    ],
)
def test_what_does_not_fit_names_the_feature(
    records: ModuleType, tmp_path: Path, changes: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        only(records.write(tmp_path, [records.episode(0, 5, **changes)], records.features()))
    assert caught.value.code == code
    assert (caught.value.where or "").startswith("toy.tfrecord#record-000000")


def test_numbers_that_are_no_pictures_are_refused(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(0, 5)])
    with pytest.raises(EpisodeError, match="which is no image") as caught:
        only(path, Mapping(streams={"top": rule("action", "image")}))
    assert caught.value.code == "wrong_shape"


def test_a_record_without_steps_is_refused(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [{"image": [b"x"]}], records.features())
    with pytest.raises(EpisodeError, match="no feature of steps/ holds a step; there are image") as caught:
        only(path)
    assert caught.value.code == "no_steps"


def test_a_tfrecord_of_something_else_is_refused(records: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none of its features \(image, label\) is a stream") as caught:
        opened(records.write(tmp_path, [{"image": [b"x"], "label": np.array([1])}]))
    assert caught.value.code == "missing_stream"


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def read_all(recording: Recording) -> Sequence[str]:
    found = []
    for part in recording.parts:
        try:
            found.append(read_part(recording, part).instruction)
        except FormatError as error:
            found.append(error.code if error.where == recording.uri_of(part) else f"{error.code} at {error.where}")
    return found


def test_one_damaged_payload_costs_one_record(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(seed) for seed in range(3)])
    damage(path, 30)
    # The guess looks at the first record that can be read.
    good = "put the carrot on the plate"
    assert read_all(opened(path)) == ["bad_crc", good, good]


def test_a_file_that_breaks_off_has_one_more_part_that_says_so(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(seed) for seed in range(3)], records.features())
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    good = "put the carrot on the plate"
    assert read_all(opened(path)) == [good, good, "truncated"]
    path.write_bytes(whole)
    damage(path, 0)
    with pytest.raises(FormatError, match="checksum of the length at byte 0 is wrong") as caught:
        opened(path)
    assert caught.value.code == "bad_length"


def test_all_records_damaged_is_an_error_of_the_file_where_nothing_else_says_what_it_holds(
    records: ModuleType, tmp_path: Path
) -> None:
    path = records.write(tmp_path, [records.episode(0)])
    damage(path, 30)
    with pytest.raises(FormatError, match="checksum of the record"):
        opened(path)


def test_what_the_files_beside_it_say_is_compared(records: ModuleType, tmp_path: Path) -> None:
    path = records.write(tmp_path, [records.episode(0)])
    info = {"name": "toy", "splits": [{"name": "train", "shardLengths": ["9"]}]}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / "features.json").write_text("{")
    assert [problem.code for problem in opened(path).problems] == ["bad_features", "count_mismatch"]
    (tmp_path / "dataset_info.json").write_text("{")
    assert [problem.code for problem in opened(path).problems] == ["bad_features", "bad_features"]


def test_parts_that_are_not_there_are_refused(records: ModuleType, tmp_path: Path) -> None:
    recording = opened(records.write(tmp_path, [records.episode(0)]))
    for part in ("record-000001", "demo_0"):
        with pytest.raises(FormatError, match="holds 1 records, none is") as caught:
            read_part(recording, part)
        assert caught.value.code == "missing_part"
