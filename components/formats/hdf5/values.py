"""Attributes and datasets as plain Python and numpy values, whatever types a writer chose for them."""

from __future__ import annotations

import json
import re
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import library_errors
from components.formats.hdf5.file import clean, find, place, require_bounded

# Longer ones are whole documents (the XML of a simulated world), and say nothing that an episode has room for.
_LONGEST_TEXT = 1000
# Nothing, JSON or XML.
_DOCUMENTS = ("", "{", "[", "<")
# What the library and JSON make of bytes that are no UTF-8; nobody can write it down again.
_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_TEXTS = 100_000


def text(value: Any) -> str:
    """Words from a string of any kind or a number; "" where there are none (arrays, references)."""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return ""
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode(errors="replace").rstrip("\0")
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return str(value)
    return ""


def attribute(node: h5py.Group | h5py.Dataset, name: str, *, where: str) -> Any:
    """Value of an attribute, None where it is missing. Raises `FormatError` (bad_attribute)."""
    with library_errors(place(where, f"@{name}"), code="bad_attribute"):
        if name not in node.attrs:
            return None
        return node.attrs[name]


def attribute_text(node: h5py.Group | h5py.Dataset, name: str, *, where: str) -> str:
    return text(attribute(node, name, where=where))


def attribute_texts(node: h5py.Group | h5py.Dataset, *, where: str) -> dict[str, str]:
    """Every attribute that is words, no document, or a number. Raises `FormatError` (bad_attribute)."""
    with library_errors(place(where, "@"), code="bad_attribute"):
        names = list(node.attrs)
        for name in names:
            if clean(name) != name:
                raise FormatError(
                    f"attribute {clean(name)} has a name that is not UTF-8", where=where, code="bad_attribute"
                )
    found = {name: attribute_text(node, name, where=where) for name in names}
    return {name: words for name, words in found.items() if len(words) <= _LONGEST_TEXT and words[:1] not in _DOCUMENTS}


def attribute_json(node: h5py.Group | h5py.Dataset, name: str, *, where: str) -> dict[str, Any]:
    """An attribute that holds a JSON object; {} where there is none or it holds something else.

    Raises `FormatError` (bad_attribute).
    """
    words = attribute_text(node, name, where=where)
    if not words.lstrip().startswith("{"):
        return {}
    with library_errors(place(where, f"@{name}"), code="bad_attribute"):
        found = json.loads(words)
    return found if isinstance(found, dict) else {}


def dataset_texts(group: h5py.Group, path: str, *, where: str) -> list[str]:
    """Strings of a dataset of fixed or variable length; [] where there is none. Raises `FormatError` (bad_dataset)."""
    node = find(group, path, where=where)
    if not isinstance(node, h5py.Dataset):
        return []
    require_bounded(node, where=place(where, path))
    with library_errors(place(where, path), code="bad_dataset"):
        if node.dtype.kind not in "SUO" or node.size > _MOST_TEXTS:
            return []
        return [text(value) for value in np.atleast_1d(node[()]).reshape(-1)]


def numbers(dataset: h5py.Dataset, name: str, *, where: str) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """All samples of a dataset, and what its columns are called where it is compound: [N] or [N, D], native order.

    Raises `FormatError` (bad_dataset, too_large ...) and `EpisodeError` (wrong_type).
    """
    require_bounded(dataset, where=place(where, name))
    with library_errors(place(where, name), code="bad_dataset"):
        if dataset.dtype.names is None:
            if dataset.dtype.kind not in "fiubSU":
                raise EpisodeError(
                    f"dataset {name!r} holds {described(dataset)}, expected numbers", where=where, code="wrong_type"
                )
            array = np.asarray(dataset[()])
            return array.astype(array.dtype.newbyteorder("=")), ()
        if not numeric(dataset.dtype):
            raise EpisodeError(
                f"dataset {name!r} is compound ({described(dataset)}), not all of it numbers",
                where=where,
                code="wrong_type",
            )
        array = np.asarray(dataset[()])
        columns, names = _columns(array)
        return np.stack(columns, axis=-1).astype(np.float64), names


def _columns(array: npt.NDArray[Any]) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    """Members of a compound array, those that are arrays themselves spread out: (position, [x, y]) gives 3 columns."""
    columns: list[npt.NDArray[Any]] = []
    names: list[str] = []
    for member in array.dtype.names or ():
        part = array[member]
        if part.ndim == array.ndim:
            columns.append(part)
            names.append(member)
            continue
        flat = part.reshape(*array.shape, -1)
        columns += [flat[..., index] for index in range(flat.shape[-1])]
        names += [f"{member}_{index}" for index in range(flat.shape[-1])]
    return columns, tuple(names)


def numeric(dtype: np.dtype[Any]) -> bool:
    """Whether a type is a number, or a compound of numbers."""
    if dtype.names is None:
        return dtype.base.kind in "fiub"
    return all(dtype[name].names is None and dtype[name].base.kind in "fiub" for name in dtype.names)


def described(dataset: h5py.Dataset) -> str:
    """Type of a dataset in words."""
    dtype = dataset.dtype
    if h5py.check_string_dtype(dtype) is not None:
        return "strings"
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        return f"variable-length {np.dtype(inner)}"
    if dtype.kind == "O":
        return "references"
    if dtype.names is not None:
        return "{" + ", ".join(f"{name}: {dtype[name]}" for name in dtype.names) + "}"
    return str(dtype)
