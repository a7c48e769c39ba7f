"""A guess which datasets of an episode are its streams, from their names, types and lengths."""

from __future__ import annotations

from collections.abc import Iterable

import h5py

from components.core.episode import StreamKind
from components.formats.assemble import library_errors
from components.formats.hdf5.file import place
from components.formats.hdf5.frames import is_encoded, looks_encoded
from components.formats.hdf5.values import numeric
from components.formats.mapping import StreamRule, short_name

_FORCE = ("force", "torque", "wrench", "effort")
# Wider rows of numbers are flattened pictures or point clouds.
_WIDEST = 4096


def kind_of(name: str, dataset: h5py.Dataset, *, where: str) -> StreamKind | None:
    """What a dataset seems to hold, by type and name; None: no stream. Raises `FormatError` (bad_dataset)."""
    last = name.rsplit("/", 1)[-1].lower()
    with library_errors(place(where, name), code="bad_dataset"):
        shape, dtype = dataset.shape, dataset.dtype
        if not shape or not shape[0] or 0 in shape:
            return None
        flat = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
        if flat and ((dtype.kind == "u" and dtype.itemsize == 2) or ("depth" in last and dtype.kind == "f")):
            return "depth"
        if dtype == "uint8" and len(shape) == 4 and shape[3] in (1, 3, 4):
            return "image"
        if ("/images/" in name and is_encoded(dataset)) or looks_encoded(dataset):
            return "depth" if "depth" in last else "image"
        if not numeric(dtype) or len(shape) > 2 or (len(shape) == 2 and shape[1] > _WIDEST):
            return None
    if name.startswith("action"):
        return "action"
    return "force" if any(word in last for word in _FORCE) else "state"


def rules(
    found: dict[str, h5py.Dataset], wanted: Iterable[str], *, where: str, flip: bool = False, order: str = "rgb"
) -> dict[str, StreamRule]:
    """Rules for the `wanted` datasets that can be streams; the main action is called "action"."""
    made: dict[str, StreamRule] = {}
    for name in wanted:
        kind = kind_of(name, found[name], where=where)
        if kind is None:
            continue
        stream = "action" if name in ("actions", "action") else short_name(name, {*made, "action"})
        picture = kind in ("image", "depth")
        made[stream] = StreamRule(
            source=name,
            kind=kind,
            flip=flip and picture,
            order="bgr" if order == "bgr" and kind == "image" else "rgb",
            names=(found[name].dtype.names or ()) if _plain_members(found[name]) else (),
        )
    return made


def _plain_members(dataset: h5py.Dataset) -> bool:
    """Whether a compound's members are single numbers, so that their names are those of its columns."""
    dtype = dataset.dtype
    return dtype.names is not None and all(dtype[name].shape == () for name in dtype.names)
