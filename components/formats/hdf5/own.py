"""HDF5 files that gripline wrote: how they are to be read, and the ids that their demos carry."""

from __future__ import annotations

import h5py

from components.core.errors import FormatError
from components.formats.carried import (
    CALIBRATION,
    CHECKSUM,
    DROPPED,
    EPISODE_ID,
    KEY,
    Carried,
    OwnEpisode,
    calibration_from,
    carried_from,
    carried_id,
    mapping_or_problem,
)
from components.formats.hdf5.dialect import Scene
from components.formats.hdf5.file import find
from components.formats.hdf5.values import attribute_text, dataset_texts, numbers
from components.formats.mapping import CONSTANT_KEYS, Mapping


def own_mapping(root: h5py.File, problems: list[FormatError], *, where: str) -> Mapping | None:
    """The mapping of a file that gripline wrote. Where what it says is damaged, it is read as anybody's."""
    return mapping_or_problem(lambda: _carried(root, where), problems)


def own_demo(scene: Scene) -> OwnEpisode | None:
    """What a demo carries, None in a file of somebody else's. Raises `FormatError` (bad_metadata, bad_dataset ...)."""
    try:
        carried = _carried(scene.root, scene.where)
    except FormatError:
        # A problem of the file, which was said when it was opened.
        return None
    if carried is None:
        return None
    names = (*CONSTANT_KEYS, EPISODE_ID, CHECKSUM)
    words = {name: attribute_text(scene.group, name, where=scene.where) for name in names}
    columns = {}
    for name in carried.columns:
        dataset = find(scene.group, name, where=scene.where)
        if isinstance(dataset, h5py.Dataset):
            columns[name], _ = numbers(dataset, name, where=scene.where)
    kept = carried_id(words, columns)
    said = {name: words[name] for name in CONSTANT_KEYS if words[name]}
    texts = dataset_texts(scene.group, CALIBRATION, where=scene.where)
    calibration = calibration_from(texts[0] if texts else "", where=scene.where)
    return OwnEpisode(said if kept else said | DROPPED, calibration, kept)


def _carried(root: h5py.File, where: str) -> Carried | None:
    found = dataset_texts(root, KEY, where=where)
    return carried_from(found[0], where=where) if found else None
