"""Looks for NaN among the weights of an ONNX file without the onnx package.

A warm-up cannot find all of them: a NaN in the embedding of a word that the warm-up does not say stays hidden until
a robot hears it. Only the few protobuf fields that lead to tensors are followed (numbers from onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.errors import BundleError

_Field = tuple[int, int, memoryview]

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_FUNCTION_NODE = 7
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_INTS, _TENSOR_NAME = 2, 4, 5, 8
_TENSOR_RAW, _TENSOR_DOUBLES, _TENSOR_LOCATION = 9, 10, 14
_FLOAT, _FLOAT16, _DOUBLE, _BFLOAT16 = 1, 10, 11, 16
_EXTERNAL = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def require_finite_weights(path: Path) -> int:
    """Returns how many tensors were looked at. Raises `BundleError` naming the tensor that holds NaN.

    Infinity is let through: masks are made of it.
    """
    count = 0
    try:
        for tensor in _model_tensors(memoryview(path.read_bytes())):
            name, values = _tensor(tensor)
            count += 1
            if values is not None and np.isnan(values).any():
                raise BundleError(f"weight {name!r} holds NaN", where=str(path), hint="Train again, or roll back")
    except (IndexError, ValueError) as error:
        raise BundleError(f"not an ONNX file: {error}", where=str(path)) from error
    if not count:
        raise BundleError("an ONNX file without a weight", where=str(path))
    return count


def _model_tensors(model: memoryview) -> Iterator[memoryview]:
    for number, _, value in _fields(model):
        if number == _MODEL_GRAPH:
            yield from _graph_tensors(value)
        elif number == _MODEL_FUNCTIONS:
            yield from _node_tensors(value, _FUNCTION_NODE)


def _graph_tensors(graph: memoryview) -> Iterator[memoryview]:
    for number, _, value in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            yield value
    yield from _node_tensors(graph, _GRAPH_NODE)


def _node_tensors(parent: memoryview, node_field: int) -> Iterator[memoryview]:
    """Tensors in the attributes of the nodes (constants), and in graphs within them (Loop, If)."""
    nodes = (value for number, _, value in _fields(parent) if number == node_field)
    attributes = (value for node in nodes for number, _, value in _fields(node) if number == _NODE_ATTRIBUTE)
    for attribute in attributes:
        for number, wire, value in _fields(attribute):
            if wire == _BYTES and number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                yield value
            elif wire == _BYTES and number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                yield from _graph_tensors(value)


def _tensor(tensor: memoryview) -> tuple[str, npt.NDArray[np.floating] | None]:
    """Name and values; None for a tensor of integers, strings or booleans."""
    kind, name, location, as_integers, raw = 0, "", 0, False, memoryview(b"")
    for number, wire, value in _fields(tensor):
        if wire == _VARINT and number == _TENSOR_TYPE:
            kind = _varint(value, 0)[0]
        elif wire == _VARINT and number == _TENSOR_LOCATION:
            location = _varint(value, 0)[0]
        elif number == _TENSOR_NAME:
            name = bytes(value).decode()
        elif wire == _BYTES and number in (_TENSOR_RAW, _TENSOR_FLOATS, _TENSOR_DOUBLES):
            raw = value
        elif number == _TENSOR_INTS:
            as_integers = True
    if location == _EXTERNAL:
        raise ValueError(f"weight {name!r} lies in another file, which is not supported")
    if as_integers and kind in (_FLOAT16, _BFLOAT16):
        raise ValueError(f"weight {name!r} keeps half floats as integers, which is not supported")
    if kind == _BFLOAT16:
        return name, (np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    dtype = {_FLOAT: "<f4", _FLOAT16: "<f2", _DOUBLE: "<f8"}.get(kind)
    return name, None if dtype is None else np.frombuffer(raw, dtype=dtype)


def _fields(message: memoryview) -> Iterator[_Field]:
    """(field number, wire type, payload); the payload of a number is its bytes on the wire."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            end = _varint(message, position)[1]
        elif wire == _BYTES:
            length, position = _varint(message, position)
            end = position + length
        elif wire in (_FIXED64, _FIXED32):
            end = position + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {wire}")
        if end > len(message):
            raise ValueError("it ends in the middle of a field")
        yield number, wire, message[position:end]
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
