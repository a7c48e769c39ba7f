"""Camera intrinsics and extrinsics that a file holds, as plain JSON: `{"cameras": {NAME: {WHAT: numbers}}}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from components.formats.assemble import library_errors
from components.formats.hdf5.dialect import Scene
from components.formats.hdf5.file import clean, place
from components.formats.hdf5.values import attribute, attribute_json, numbers, numeric

_WHATS = ("intrinsic", "extrinsic")
# A camera matrix for each step of a long episode; what is larger is no calibration.
_MOST_NUMBERS = 4_000_000
_MOST_OF_ONE = 64
_MATRICES = ((3, 3), (3, 4), (4, 4))


def stated_calibration(scene: Scene) -> dict[str, Any]:
    """What attributes (`camera_info`, `*intrinsic*`, `*extrinsic*`) and datasets of such names say; {} where nothing.

    A camera that moves has no static extrinsics: datasets that change from step to step are left out. Raises
    `FormatError` for one that is damaged.
    """
    cameras: dict[str, dict[str, Any]] = {}
    for node in (scene.data, scene.group):
        for camera, what, found in _camera_info(node, scene.where):
            cameras.setdefault(camera, {})[what] = found
        for name in _names(node, scene.where):
            _put(cameras, name, _array(attribute(node, name, where=scene.where)))
    for name, dataset in scene.datasets.items():
        if any(what in name.lower() for what in _WHATS):
            _put(cameras, name, static(dataset, name, where=scene.where))
    return {"cameras": cameras} if cameras else {}


def _camera_info(node: h5py.Group, where: str) -> Iterator[tuple[str, str, Any]]:
    """Camera, what of it, and its numbers, from the JSON that robomimic writes."""
    for camera, entry in attribute_json(node, "camera_info", where=where).items():
        for what, value in entry.items() if isinstance(entry, dict) else ():
            with library_errors(place(where, "@camera_info"), code="bad_attribute"):
                found = _array(value)
            if found is not None:
                yield clean(camera), clean(what), found


def static(dataset: h5py.Dataset, name: str, *, where: str) -> Any:
    """Numbers as nested lists; where they are given for each step, those of one if all are equal. None for others.

    Raises `FormatError` (bad_dataset, too_large).
    """
    with library_errors(place(where, name), code="bad_dataset"):
        if not numeric(dataset.dtype) or not 0 < dataset.size <= _MOST_NUMBERS:
            return None
    array, _ = numbers(dataset, name, where=where)
    if array.ndim < 2 or array.shape in _MATRICES:
        return _array(array)
    return _array(array[0]) if np.array_equal(array, np.broadcast_to(array[0], array.shape)) else None


def _array(value: Any) -> Any:
    array = np.asarray(value)
    usable = array.dtype.kind in "fiu" and 0 < array.size <= _MOST_OF_ONE
    return array.astype(np.float64).tolist() if usable and np.isfinite(array.astype(np.float64)).all() else None


def _names(node: h5py.Group, where: str) -> list[str]:
    with library_errors(place(where, "@"), code="bad_attribute"):
        return sorted(name for name in node.attrs if any(what in name.lower() for what in _WHATS))


def _put(cameras: dict[str, dict[str, Any]], name: str, found: Any) -> None:
    """ "agentview_intrinsics", "camera/agentview/intrinsics" and "intrinsics/agentview" are all of agentview."""
    if found is None:
        return
    words = [word for word in name.replace("/", "_").split("_") if word]
    what = "intrinsics" if "intrinsic" in name.lower() else "extrinsics"
    rest = [word for word in words if not any(one in word.lower() for one in _WHATS) and word not in ("camera", "obs")]
    cameras.setdefault("_".join(rest) or "camera", {})[what] = found
