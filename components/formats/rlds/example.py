"""tf.train.Example without TensorFlow: named lists of bytes, float32 or int64.

Source: tensorflow/core/example/{example,feature}.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from components.formats.assemble import library_errors

Values = npt.NDArray[np.float32] | npt.NDArray[np.int64] | list[bytes]

_PACKAGE = "gripline.example"


def parse_example(payload: bytes, *, where: str) -> dict[str, Values]:
    """The lists of a record by name; one without values is a list of no bytes. Raises `FormatError` (bad_message)."""
    with library_errors(where, code="bad_message"):
        example = example_class()()
        example.ParseFromString(payload)
        return {name: _values(feature) for name, feature in sorted(example.features.feature.items())}


def example_bytes(values: Mapping[str, Values]) -> bytes:
    """Inverse of `parse_example`; the same lists give the same bytes."""
    example = example_class()()
    for name, found in values.items():
        feature = example.features.feature[name]
        if isinstance(found, list):
            feature.bytes_list.value.extend(found)
        elif found.dtype == np.float32:
            feature.float_list.value.extend(found.tolist())
        else:
            feature.int64_list.value.extend(found.tolist())
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def _values(feature: Any) -> Values:
    kind = feature.WhichOneof("kind")
    if kind == "float_list":
        return np.fromiter(feature.float_list.value, np.float32, len(feature.float_list.value))
    if kind == "int64_list":
        return np.fromiter(feature.int64_list.value, np.int64, len(feature.int64_list.value))
    return list(feature.bytes_list.value)


@cache
def example_class() -> type[Any]:
    """The message class of tf.train.Example."""
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    kinds = (
        ("BytesList", "bytes_list", FieldDescriptorProto.TYPE_BYTES),
        ("FloatList", "float_list", FieldDescriptorProto.TYPE_FLOAT),
        ("Int64List", "int64_list", FieldDescriptorProto.TYPE_INT64),
    )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, field, type_) in enumerate(kinds, 1):
        _add(file.message_type.add(name=name), "value", 1, type_, repeated=True)
        _add(feature, field, number, FieldDescriptorProto.TYPE_MESSAGE, of=name).oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, FieldDescriptorProto.TYPE_STRING)
    _add(entry, "value", 2, FieldDescriptorProto.TYPE_MESSAGE, of="Feature")
    _add(features, "feature", 1, FieldDescriptorProto.TYPE_MESSAGE, of="Features.FeatureEntry", repeated=True)
    _add(file.message_type.add(name="Example"), "features", 1, FieldDescriptorProto.TYPE_MESSAGE, of="Features")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


def _add(message: Any, name: str, number: int, type_: int, *, of: str = "", repeated: bool = False) -> Any:
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, type=type_, label=label)
    if of:
        field.type_name = f".{_PACKAGE}.{of}"
    return field
