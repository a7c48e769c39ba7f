"""HDF5 in the layout of robomimic: `data/demo_N`, each demo an episode with one clock for all its streams."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from components.core.episode import Episode, Stream
from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import Times, build_episode, image_stream, library_errors, numeric_stream
from components.formats.mapping import HDF5_DATASETS, HDF5_TIME

MAGIC = b"\x89HDF\r\n\x1a\n"
# Beyond this a float64 of seconds is no time of any robot, and its nanoseconds would not fit into int64.
_MAX_SECONDS = 4e9


@contextmanager
def opened(path: Path, *, where: str) -> Iterator[h5py.File]:
    """Read-only file. Raises `FormatError` (truncated, unreadable) for what h5py says of damaged ones."""
    with library_errors(where):
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            # The library has no exception of its own for a file that is shorter than its header says.
            if "truncated file" in str(error):
                raise FormatError(
                    "the file ends too early", where=where, hint="Copy it again", code="truncated"
                ) from error
            raise
        with file:
            yield file


def parts(path: Path, *, where: str) -> tuple[str, ...]:
    """Names of the demos, in the order of their numbers. Raises `FormatError` (no_episodes)."""
    with opened(path, where=where) as file:
        data = file.get("data")
        if not isinstance(data, h5py.Group):
            raise FormatError(
                f"no group 'data'; there are {_listed(file)}", where=where, code="no_episodes", hint=_EXPECTED
            )
        demos = sorted(data, key=_natural)
    if not demos:
        raise FormatError("group 'data' holds no demo", where=where, code="no_episodes")
    return tuple(demos)


_EXPECTED = "Expected the layout of robomimic: data/demo_N/{obs/..., actions, time}"


def _natural(name: str) -> list[tuple[int, str]]:
    """demo_2 before demo_10; also for the older spelling demo2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(group: h5py.Group) -> str:
    names = sorted(group)
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "none"


def read_part(path: Path, part: str, *, uri: str, sha256: str) -> Episode:
    """The episode of one demo; its neighbours are not touched. Raises `FormatError` or `EpisodeError`."""
    where = f"{uri}#{part}"
    with opened(path, where=where) as file:
        demo = file[f"data/{part}"]
        if not isinstance(demo, h5py.Group):
            raise EpisodeError("not a group", where=where, code="bad_episode")
        time_ns = _sensor_time(demo, where=where)
        streams = {}
        for name, target in HDF5_DATASETS.items():
            if name in demo:
                streams[target.stream] = _stream(demo, name, time_ns, where=where)
        metadata = {str(key): _text(value) for key, value in demo.attrs.items()}
    if "action" not in streams:
        raise EpisodeError("no dataset 'actions'", where=where, code="missing_stream", hint=_EXPECTED)
    return build_episode(
        streams,
        metadata,
        instruction=metadata.get("instruction", ""),
        source_uri=where,
        source_sha256=sha256,
        source_format="hdf5",
    )


def _stream(demo: h5py.Group, name: str, time_ns: Times, *, where: str) -> Stream:
    target = HDF5_DATASETS[name]
    dataset = demo[name]
    if not isinstance(dataset, h5py.Dataset):
        raise EpisodeError(f"{name!r} is a group, expected a dataset", where=where, code="wrong_type")
    build = image_stream if target.kind == "image" else numeric_stream
    return build(target, time_ns, dataset[()], where=where)


def _sensor_time(demo: h5py.Group, *, where: str) -> Times:
    """int64 [N] ns from the float64 seconds of the demo."""
    dataset = demo.get(HDF5_TIME)
    if not isinstance(dataset, h5py.Dataset):
        raise EpisodeError(
            f"no dataset {HDF5_TIME!r} with the sensor time; there are {_listed(demo)}",
            where=where,
            hint=_EXPECTED,
            code="missing_stream",
        )
    seconds = np.asarray(dataset[()])
    if seconds.ndim != 1 or seconds.dtype.kind not in "fiu" or not len(seconds):
        raise EpisodeError(
            f"{HDF5_TIME!r} is {seconds.dtype} {list(seconds.shape)}, expected seconds [N]",
            where=where,
            code="bad_time",
        )
    seconds = seconds.astype(np.float64)
    wild = ~(np.abs(seconds) < _MAX_SECONDS)
    if wild.any():
        raise EpisodeError(f"{HDF5_TIME!r} holds {seconds[wild][0]} s", where=where, code="bad_time")
    return np.rint(seconds * 1e9).astype(np.int64)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def dialect(path: Path, *, where: str) -> str:
    """Which program's habits the file follows: robomimic, robosuite, or plain hdf5."""
    with opened(path, where=where) as file:
        attributes = set(file["data"].attrs) if isinstance(file.get("data"), h5py.Group) else set()
    if "env_args" in attributes:
        return "robomimic"
    return "robosuite" if attributes & {"env", "env_info", "repository_version"} else "hdf5"
