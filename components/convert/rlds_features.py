"""The files beside the records of an RLDS data set, as TensorFlow Datasets writes them: what a reader goes by.

Source: tensorflow_datasets/core/proto/{feature,dataset_info}.proto, written as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.convert.plan import Column

_CLASSES = "tensorflow_datasets.core.features."
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
VERSION = "1.0.0"
# Types that a list of a record holds as they are; others go in as bytes.
PLAIN = ("float32", "int32", "int64", "uint8", "bool")
FLAGS = ("is_first", "is_last", "is_terminal")
REWARDS = ("reward", "discount")


def features(
    columns: Iterable[Column],
    pictures: Mapping[str, tuple[tuple[int, ...], str]],
    metadata: Iterable[str],
    *,
    time: str,
    instruction: str,
) -> dict[str, Any]:
    """features.json. `pictures`: name below the steps -> shape [H, W, C], -1 where it varies, and its coding."""
    steps: dict[str, Any] = {name: _tensor("bool", ()) for name in FLAGS}
    steps |= {name: _tensor("float32", ()) for name in REWARDS}
    steps[instruction] = _text()
    steps[time] = _tensor("float64", ()) | {"description": "Seconds of sensor time since the episode began."}
    for column in columns:
        tensor = _tensor(column.dtype.name, (len(column.names),))
        steps[column.source] = tensor | {"description": ", ".join(column.names)}
    steps |= {name: _image(shape, coding) for name, (shape, coding) in pictures.items()}
    sequence = {"feature": _nested(steps), "length": "-1"}
    return _dict(
        {
            "episode_metadata": _dict({name: _text() for name in metadata}),
            "steps": {"pythonClassName": f"{_CLASSES}dataset_feature.Dataset", "sequence": sequence},
        }
    )


def dataset_info(name: str, splits: Mapping[str, tuple[list[int], int]], *, description: str) -> dict[str, Any]:
    """dataset_info.json. `splits`: name -> records of each shard, and bytes of all records without their framing."""
    return {
        "description": description,
        "fileFormat": "tfrecord",
        "moduleName": "gripline.convert",
        "name": name,
        "releaseNotes": {VERSION: "Converted."},
        "splits": [
            {
                "filepathTemplate": _TEMPLATE,
                "name": split,
                "numBytes": str(size),
                "shardLengths": [str(count) for count in shards],
            }
            for split, (shards, size) in sorted(splits.items())
        ],
        "version": VERSION,
    }


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Names with slashes as dictionaries within dictionaries."""
    inner: dict[str, dict[str, Any]] = {}
    leaves: dict[str, Any] = {}
    for name, feature in flat.items():
        first, _, rest = name.partition("/")
        if rest:
            inner.setdefault(first, {})[rest] = feature
        else:
            leaves[name] = feature
    return _dict(leaves | {name: _nested(found) for name, found in inner.items()})


def _dict(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_CLASSES}features_dict.FeaturesDict",
        "featuresDict": {"features": dict(sorted(found.items()))},
    }


def _tensor(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    encoding = "none" if dtype in PLAIN else "bytes"
    kind = "tensor_feature.Tensor" if shape else "scalar.Scalar"
    return {
        "pythonClassName": _CLASSES + kind,
        "tensor": {"shape": _shape(shape), "dtype": dtype, "encoding": encoding},
    }


def _image(shape: tuple[int, ...], coding: str) -> dict[str, Any]:
    dtype = "uint16" if shape[-1] == 1 else "uint8"
    return {
        "pythonClassName": f"{_CLASSES}image_feature.Image",
        "image": {"shape": _shape(shape), "dtype": dtype, "encodingFormat": coding},
    }


def _text() -> dict[str, Any]:
    return {"pythonClassName": f"{_CLASSES}text_feature.Text", "text": {}}


def _shape(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"dimensions": [str(size) for size in shape]} if shape else {}
