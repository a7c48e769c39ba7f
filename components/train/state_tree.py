"""A nested state as JSON and named tensors, and back.

JSON as it stands: None, bool, int, finite float, str, list. All else is an object of one key that says what it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.core.errors import StateError

# Kinds of numpy arrays that are plain numbers.
_NUMBERS = "biufc"
_KEYS = (str, int, float)


def encode(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """(JSON, tensors by name). Raises `StateError`, which names the place in `value` that is neither."""
    encoder = _Encoder()
    return encoder.encode(value, ""), encoder.tensors


def decode(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `encode`; any mapping comes back as a dict. Raises `KeyError` or `ValueError` for a damaged tree."""
    if isinstance(tree, list):
        return [decode(one, tensors) for one in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, held),) = tree.items()
    if kind == "dict":
        return {decode(key, tensors): decode(one, tensors) for key, one in held}
    if kind == "tuple":
        return tuple(decode(one, tensors) for one in held)
    if kind == "float":
        return float(held)
    if kind == "tensor":
        return tensors[held]
    if kind == "dtype":
        return _dtype(held)
    if kind in ("array", "scalar"):
        return _array(tensors[held["bytes"]], held, as_scalar=kind == "scalar")
    raise ValueError(f"unknown kind {kind!r}")


class _Encoder:
    """Holds the tensors that were met on the way."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._storages: set[int] = set()

    def encode(self, value: Any, at: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, np.generic | np.ndarray):
            return self._array(value, at)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, Tensor):
            return {"tensor": self._keep(value, at)}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value)}
        return self._container(value, at)

    def _container(self, value: Any, at: str) -> Any:
        if isinstance(value, Mapping):
            # A key is encoded like a value: it may be a number.
            return {
                "dict": [[self._key(key, at), self.encode(one, f"{at}/{key}")] for key, one in value.items()]
            }  # fmt: skip
        if isinstance(value, list | tuple):
            held = [self.encode(one, f"{at}/{index}") for index, one in enumerate(value)]
            return held if isinstance(value, list) else {"tuple": held}
        raise _refused(value, at)

    def _key(self, key: Any, at: str) -> Any:
        if not (key is None or isinstance(key, _KEYS)):
            raise _refused(key, f"a key of {at or '/'}")
        return self.encode(key, at)

    def _keep(self, tensor: Tensor, at: str) -> str:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise StateError(f"a {tensor.dtype} tensor of layout {tensor.layout} cannot be kept", where=at or "/")
        plain = tensor.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory.
        storage = plain.untyped_storage().data_ptr()
        if storage in self._storages:
            plain = plain.clone()
        self._storages.add(storage)
        name = at or "/"
        while name in self.tensors:
            name += "'"
        self.tensors[name] = plain
        return name

    def _array(self, value: np.generic | np.ndarray, at: str) -> dict[str, Any]:
        if value.dtype.kind not in _NUMBERS:
            raise _refused(value, at)
        flat = np.ascontiguousarray(value).reshape(-1)
        raw = torch.from_numpy(np.frombuffer(flat.tobytes() or b"", np.uint8).copy())
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: {"bytes": self._keep(raw, at), "dtype": value.dtype.str, "shape": list(value.shape)}}


def _refused(value: Any, at: str) -> StateError:
    return StateError(
        f"a {type(value).__name__} is neither tensor nor JSON",
        where=at or "/",
        hint="Keep numbers, text, lists, mappings and tensors in the state of a training run",
    )


def _array(raw: Tensor, held: Mapping[str, Any], *, as_scalar: bool) -> Any:
    array = np.frombuffer(raw.numpy().tobytes(), np.dtype(held["dtype"])).reshape(held["shape"]).copy()
    return array[()] if as_scalar else array


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"unknown dtype {name!r}")
    return found
