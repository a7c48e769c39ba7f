"""HDF5 in the layouts of robomimic, LIBERO, ALOHA, DROID and robosuite, told apart by their structure.

`formats.source` says what the functions here are for.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from components.core.episode import Episode
from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import build_episode, library_errors
from components.formats.carried import plain_words
from components.formats.hdf5 import plain
from components.formats.hdf5.aloha import ALOHA
from components.formats.hdf5.choose import guessed_mapping, guessed_name
from components.formats.hdf5.clock import Clock
from components.formats.hdf5.dialect import DATA, Dialect, Scene, file_of, scene_of
from components.formats.hdf5.droid import DROID, videos
from components.formats.hdf5.file import find, listed, members, opened
from components.formats.hdf5.frames import SharedFile, is_encoded
from components.formats.hdf5.heaps import require_sound_heaps
from components.formats.hdf5.libero import LIBERO
from components.formats.hdf5.own import own_demo, own_mapping
from components.formats.hdf5.robomimic import ROBOMIMIC, masks
from components.formats.hdf5.robosuite import ROBOSUITE
from components.formats.hdf5.streams import stream_of
from components.formats.hdf5.values import attribute_text, dataset_texts, described, numeric
from components.formats.mapping import Mapping
from components.formats.source import Field, Opened, Problem, Recording

# In this order: LIBERO's files are robomimic's as well, robomimic's may hold robosuite's states.
_DEMOS = (LIBERO, ROBOMIMIC, ROBOSUITE, plain.DEMOS)
_WHOLE = (DROID, ALOHA)
_BY_NAME = {dialect.name: dialect for dialect in (*_WHOLE, *_DEMOS)}


def open_source(path: Path, mapping: Mapping | None, *, where: str) -> Opened:
    """Dialect, demos in the order of their numbers, and the mapping that rules: the given one, or a guess.

    Raises `FormatError` (truncated, bad_superblock, bad_group, no_episodes ...).
    """
    file, _ = file_of(path)
    require_sound_heaps(file, where=where)
    with opened(file, where=where) as root:
        dialect, parts = _dialect(root, mapping, where)
        damaged: list[FormatError] = []
        if dialect.demos:
            masks(root, where=where, problems=damaged)
        own = own_mapping(root, damaged, where=where)
    problems = [Problem(error.code, error.where or where, error.message) for error in damaged]
    if dialect is DROID and not path.is_dir():
        hint = "the file of a DROID episode alone; its cameras are read where the folder is given"
        problems.append(Problem("missing_stream", where, hint))
    rules = mapping or own or guessed_mapping(path, dialect, parts, where)
    return Opened(dialect.name, parts, rules, tuple(problems))


def _dialect(root: h5py.File, mapping: Mapping | None, where: str) -> tuple[Dialect, tuple[str, ...]]:
    for dialect in _WHOLE:
        if dialect.recognises(root, [], where):
            return dialect, ("",)
    data = find(root, DATA, where=where)
    demos: list[str] = []
    if isinstance(data, h5py.Group):
        demos = members(data, where=where)
        for dialect in _DEMOS:
            if demos and _recognised(dialect, root, demos, where):
                return dialect, tuple(demos)
    if mapping is not None:
        return plain.WHOLE, ("",)
    if isinstance(data, h5py.Group):
        raise FormatError("group 'data' holds no demo", where=where, code="no_episodes")
    raise FormatError(
        f"no episodes; at its top there are {listed(members(root, where=where))}",
        where=where,
        hint="Known are robomimic, LIBERO, ALOHA, DROID and robosuite; for others give a mapping with --map",
        code="no_episodes",
    )


def _recognised(dialect: Dialect, root: h5py.File, demos: list[str], where: str) -> bool:
    with library_errors(where, code="bad_group"):
        return dialect.recognises(root, demos, where)


def fields(path: Path, part: str, mapping: Mapping, *, where: str) -> list[Field]:
    """Every dataset of an episode and every video beside it, read or not. Raises `FormatError`."""
    dialect = _known(path, mapping, where)
    used = {rule.source: name for name, rule in mapping.streams.items()}
    with scene_of(path, part, dialect, where=where) as scene:
        found = [_field(name, one, used, where) for name, one in scene.leaves.items()]
    _, folder = file_of(path)
    if folder is not None:
        found += [Field(name, "mp4", (), 0, stream=used.get(name, "")) for name in videos(folder)]
    return found


def _field(name: str, found: h5py.Dataset | FormatError, used: dict[str, str], where: str) -> Field:
    stream = used.get(name, "")
    if isinstance(found, FormatError):
        return Field(name, "", (), 0, stream=stream, problem=found.message)
    try:
        with library_errors(where, code="bad_dataset"):
            shape = tuple(int(size) for size in found.shape or ())
            type_, usable = described(found), numeric(found.dtype) or is_encoded(found)
    except FormatError as error:
        return Field(name, "", (), 0, stream=stream, problem=error.message)
    problem = "" if usable else f"{type_} is no stream"
    return Field(name, type_, shape[1:], shape[0] if shape else 1, stream=stream, problem=problem)


def _known(path: Path, mapping: Mapping, where: str) -> Dialect:
    file, _ = file_of(path)
    with opened(file, where=where) as root:
        return _dialect(root, mapping, where)[0]


def read_part(recording: Recording, part: str) -> Episode:
    """One episode; its neighbours are not touched. Raises `FormatError` or `EpisodeError` (missing_stream, bad_time,
    wrong_shape, wrong_type, length_mismatch, bad_dataset, bad_attribute, too_large ...).
    """
    where = recording.uri_of(part)
    mapping = recording.mapping
    dialect = _BY_NAME[recording.dialect]
    if dialect is plain.DEMOS and not part:
        dialect = plain.WHOLE
    with scene_of(recording.path, part, dialect, where=where) as scene:
        if mapping.name == guessed_name(dialect):
            _require_whole(scene)
        clock = Clock(scene.group, mapping, where, dialect.rate(scene), dialect.unit, lambda: dialect.clock(scene))
        file = SharedFile(file_of(recording.path)[0], scene.group_name, where=where)
        made = {name: stream_of(scene, name, rule, clock, file) for name, rule in mapping.streams.items()}
        streams = {name: stream for name, stream in made.items() if stream is not None}
        _require_action(scene, mapping, dialect, set(streams))
        metadata = dialect.describe(scene)
        calibration = dialect.calibration(scene) if dialect.calibration else {}
        own = own_demo(scene)
        if own is not None:
            metadata, calibration = plain_words(metadata) | own.words, own.calibration
        metadata.update(_spoken(scene, mapping))
    if clock.assumed:
        metadata["clock"] = "assumed"
    return build_episode(
        streams,
        metadata,
        mapping,
        source_uri=where,
        source_sha256=recording.sha256,
        source_format=recording.format,
        calibration=calibration,
        carried_id=own.carried_id if own else "",
    )


def _require_whole(scene: Scene) -> None:
    """That nothing is damaged: where the mapping is a guess, what cannot be opened may be a stream of the episode."""
    for found in scene.leaves.values():
        if isinstance(found, FormatError) and found.code != "external_data":
            raise found


def _require_action(scene: Scene, mapping: Mapping, dialect: Dialect, found: set[str]) -> None:
    actions = [name for name, rule in mapping.streams.items() if rule.kind == "action"]
    actions = ["action"] if "action" in actions else actions
    if dialect.needs_action and actions and not found & set(actions):
        sources = ", ".join(repr(mapping.streams[name].source) for name in actions[:3])
        raise EpisodeError(
            f"no dataset {sources}; there are {listed(members(scene.group, where=scene.where))}",
            where=scene.where,
            code="missing_stream",
        )


def _spoken(scene: Scene, mapping: Mapping) -> dict[str, str]:
    """Instruction and task where a mapping says which attribute or dataset holds them."""
    found = {}
    for key, source in (("instruction", mapping.instruction), ("task", mapping.task)):
        if not source:
            continue
        words = [attribute_text(node, source, where=scene.where) for node in (scene.group, scene.data, scene.root)]
        words += dataset_texts(scene.group, source, where=scene.where)[:1]
        found[key] = next((word for word in words if word), "")
    return found
