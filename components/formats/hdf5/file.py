"""The way into an HDF5 file: opening it and finding what it holds, with every size bounded before it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from components.core.errors import FormatError
from components.formats.assemble import library_errors

# Deflate packs at most about 1032 : 1; what claims more than this does not fit into its file.
_MOST_PACKED = 1100
# Datasets that were never written take no room and are small in honest files.
_UNWRITTEN_BYTES = 16 << 20
# No stream of numbers, frame or chunk of a robot comes near it.
_MOST_BYTES = 1 << 30
_MOST_MEMBERS = 200_000
_MOST_LEAVES = 5_000
_DEEPEST = 8


@contextmanager
def opened(path: Path, *, where: str) -> Iterator[h5py.File]:
    """Read-only file. Raises `FormatError` (truncated, bad_superblock, unreadable) for what cannot be opened."""
    with open_file(path, where=where) as file:
        yield file


def open_file(path: Path, *, where: str) -> h5py.File:
    """The same for callers that keep the file open. Locks are left alone: nothing is written, and NFS has none."""
    with library_errors(where, code="bad_superblock"):
        try:
            return h5py.File(path, "r", locking=False)
        except OSError as error:
            # The library has no exception of its own for a file that is shorter than its header says.
            if "truncated file" in str(error):
                raise FormatError(
                    "the file ends too early", where=where, hint="Copy it again", code="truncated"
                ) from error
            if error.errno:
                raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error
            raise


def place(where: str, name: str) -> str:
    """ "a.hdf5#demo_0/actions": something inside an episode."""
    return f"{where}/{name}" if "#" in where else f"{where}#{name}"


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key: demo_2 before demo_10; also for the older spelling demo2."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def clean(name: str | bytes) -> str:
    """A name that can be written anywhere: the library passes on what is no UTF-8 as bytes or as lone surrogates."""
    if isinstance(name, bytes):
        return name.decode(errors="backslashreplace")
    return name.encode(errors="backslashreplace").decode()


def members(group: h5py.Group, *, where: str) -> list[str]:
    """Names in a group, in natural order, `clean`. Raises `FormatError` (bad_group, too_large)."""
    with library_errors(where, code="bad_group"):
        count = len(group)
        if count > _MOST_MEMBERS:
            raise FormatError(f"a group claims {count} members", where=where, code="too_large")
        return sorted((clean(name) for name in group), key=natural)


def listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "none"


def find(group: h5py.Group, path: str, *, where: str) -> h5py.Dataset | h5py.Group | None:
    """What lies at a path below a group, None where nothing does. Raises `FormatError` (bad_dataset, external_data).

    Links into other files are refused: they would make an episode depend on bytes that its checksum does not cover.
    """
    node: h5py.Dataset | h5py.Group = group
    with library_errors(place(where, path), code="bad_dataset"):
        for name in path.strip("/").split("/"):
            if not isinstance(node, h5py.Group):
                return None
            link = node.get(name, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise _elsewhere(place(where, path))
            child = node[name]
            if not isinstance(child, h5py.Dataset | h5py.Group):
                return None
            # A soft link may lead through an external one.
            if isinstance(link, h5py.SoftLink) and child.file.filename != group.file.filename:
                raise _elsewhere(place(where, path))
            node = child
    return node


def _elsewhere(where: str) -> FormatError:
    return FormatError(
        "its data lie in another file",
        where=where,
        hint="Copy them into this one",
        code="external_data",
    )


def leaves(group: h5py.Group, *, where: str) -> Iterator[tuple[str, h5py.Dataset | FormatError]]:
    """Every dataset below a group with its path, or why it cannot be opened; damaged groups count as one of these."""
    budget = [_MOST_LEAVES]
    yield from _leaves(group, "", budget, _DEEPEST, where)


def _leaves(
    group: h5py.Group, prefix: str, budget: list[int], depth: int, where: str
) -> Iterator[tuple[str, h5py.Dataset | FormatError]]:
    try:
        names = members(group, where=place(where, prefix) if prefix else where)
    except FormatError as error:
        yield prefix, error
        return
    for name in names:
        path = f"{prefix}/{name}" if prefix else name
        budget[0] -= 1
        # Groups may hold each other in a circle; the budget and the depth end it.
        if budget[0] < 0 or not depth:
            return
        try:
            node = find(group, name, where=place(where, prefix) if prefix else where)
        except FormatError as error:
            yield path, error
            continue
        if isinstance(node, h5py.Dataset):
            yield path, node
        elif node is None and name not in group:
            yield path, FormatError("a name that is not UTF-8", where=place(where, path), code="bad_group")
        elif isinstance(node, h5py.Group):
            yield from _leaves(node, path, budget, depth - 1, where)


def require_bounded(dataset: h5py.Dataset, *, rows: int | None = None, where: str) -> None:
    """That a dataset may be what it claims to be, and that `rows` of it (all where None) fit into memory.

    Raises `FormatError` (too_large, external_data, missing_filter, bad_dataset).
    """
    with library_errors(where, code="bad_dataset"):
        shape, item = dataset.shape, dataset.dtype.itemsize
        if shape is None:
            raise FormatError("an empty dataspace, expected an array", where=where, code="bad_dataset")
        if dataset.external or dataset.is_virtual:
            raise _elsewhere(where)
        held = Path(dataset.file.filename).stat().st_size * _MOST_PACKED + _UNWRITTEN_BYTES
        claimed = math.prod(shape) * item
        chunk = math.prod(dataset.chunks) * item if dataset.chunks else 0
        one_read = claimed if rows is None else math.prod(shape[1:]) * item * rows
        if claimed > held or chunk > min(held, _MOST_BYTES) or one_read > _MOST_BYTES:
            raise FormatError(
                f"claims {list(shape)} of {dataset.dtype}, {max(claimed, chunk)} bytes", where=where, code="too_large"
            )
        _require_filters(dataset, where)


def _require_filters(dataset: h5py.Dataset, where: str) -> None:
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            raise FormatError(
                f"is compressed with filter {code} ({name.decode(errors='replace') or 'nameless'}), which is not here",
                where=where,
                hint="Rewrite the file: `h5repack -f GZIP=1 FILE OUT` where the filter is installed",
                code="missing_filter",
            )
