from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.core.errors import FormatError
from components.formats.rlds import features
from components.formats.rlds.features import Feature, load_features, records_promised


def load(folder: Path, said: Any) -> dict[str, Feature]:
    (folder / "features.json").write_text(said if isinstance(said, str) else json.dumps(said))
    return load_features(folder, where="a")


def test_features_are_flattened_by_their_names(records: ModuleType, tmp_path: Path) -> None:
    found = load(tmp_path, records.features({"depth": records.image(16, 16, 1, dtype="uint16", encoding="png")}))
    assert found["steps/action"] == Feature("tensor", "float32", (7,))
    assert found["steps/is_last"] == Feature("tensor", "bool")
    assert found["steps/is_last"].width == 1
    assert found["steps/language_instruction"] == Feature("text", "string")
    assert found["steps/observation/image_0"] == Feature("image", "uint8", (16, 16, 3), "jpeg")
    assert found["steps/observation/depth"] == Feature("image", "uint16", (16, 16, 1), "png")
    assert found["episode_metadata/file_path"].kind == "text"


def test_sequences_within_steps_are_ragged_unless_their_length_is_fixed(records: ModuleType, tmp_path: Path) -> None:
    points = {"sequence": {"feature": records.tensor("float32", 2), "length": "-1"}}
    corners = {"sequence": {"feature": records.tensor("float32", 2), "length": "4"}}
    frames = {"sequence": {"feature": records.image(8, 8, 3), "length": "4"}}
    found = load(tmp_path, records.features({"points": points, "corners": corners, "frames": frames}))
    assert found["steps/observation/points"].ragged
    assert found["steps/observation/frames"].ragged
    assert found["steps/observation/corners"] == Feature("tensor", "float32", (4, 2))


def test_shapes_that_vary_have_no_width(records: ModuleType, tmp_path: Path) -> None:
    assert load(tmp_path, records.features(points=records.tensor("float32", -1, 3)))["steps/points"].width is None


def test_labels_and_unknown_kinds_are_named(records: ModuleType, tmp_path: Path) -> None:
    label = {"pythonClassName": "tensorflow_datasets.ClassLabel", "classLabel": {"numClasses": "3"}}
    audio = {"pythonClassName": "tensorflow_datasets.core.features.audio_feature.Audio", "audio": {}}
    found = load(tmp_path, records.features(label=label, sound=audio, word=records.tensor("string")))
    assert found["steps/label"] == Feature("tensor", "int64")
    assert found["steps/sound"] == Feature("other", "Audio")
    assert found["steps/word"].kind == "text"


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert load_features(tmp_path, where="a") == {}
    assert records_promised(tmp_path / "a", where="a") is None


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]x",
        '{"featuresDict": 3}',
        '{"featuresDict": {"features": {"a": {"tensor": {}}}}}',
        '{"featuresDict": {"features": {"a": {"tensor": {"dtype": "x", "shape": {"dimensions": ["1073741824"]}}}}}}',
        '{"featuresDict": {"features": {"a": {"tensor": {"dtype": "x", "shape": {"dimensions": ["-7"]}}}}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, said: str) -> None:
    with pytest.raises(FormatError, match=r"features\.json") as caught:
        load(tmp_path, said)
    assert caught.value.code == "bad_features"


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_MAX_JSON_BYTES", 3)
    with pytest.raises(FormatError, match="4 bytes of JSON"):
        load(tmp_path, "null")


def test_dataset_info_says_how_many_records_a_shard_has(tmp_path: Path) -> None:
    splits = [{"name": "train", "shardLengths": ["3", "4"]}, {"name": "val", "shardLengths": ["5"]}]
    (tmp_path / "dataset_info.json").write_text(json.dumps({"name": "toy", "splits": splits}))
    assert records_promised(tmp_path / "toy-train.tfrecord-00001-of-00002", where="a") == 4
    assert records_promised(tmp_path / "toy-val.tfrecord-00000-of-00001", where="a") == 5
    assert records_promised(tmp_path / "renamed.tfrecord", where="a") is None
    (tmp_path / "dataset_info.json").write_text('{"splits": 3}')
    with pytest.raises(FormatError, match=r"dataset_info\.json"):
        records_promised(tmp_path / "renamed.tfrecord", where="a")
