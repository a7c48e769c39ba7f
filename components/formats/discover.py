"""Finds the sources below a path: files, and folders whose files belong together. Judged by content, not by suffix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.core.errors import FormatError, InputError
from components.formats.rlds.tfrecord import length_of
from components.formats.source import Found
from components.formats.strangers import strange_folder, stranger

MAGIC_HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC_MCAP = b"\x89MCAP0\r\n"
# HDF5 may keep a block of the user's own in front of its signature.
_HDF5_USER_BLOCKS = (512, 1024, 2048, 4096)
_HEAD = _HDF5_USER_BLOCKS[-1] + 8
_TFRECORD = ".tfrecord"
_ROSBAG2 = "metadata.yaml"
# What lies beside recordings and says something about them, or nothing.
_SIDECARS = (_ROSBAG2, "features.json", "dataset_info.json", "cuts.csv", "cuts.json", "license")
_HINT = "Give a file, a folder, or a pattern in quotes"
_SIDECAR_SUFFIXES = (".md", ".txt", ".cuts.csv", ".cuts.json", ".events.json")


def find(path: Path, *, uri: str = "") -> Iterator[Found | FormatError]:
    """Every source at or below `path`, sorted by name; what cannot be read comes as the error that says why.

    `path` may be a pattern as in a shell ("data/*.mcap", "data/**/*.hdf5"). `uri`: how the dataset names `path`. A file
    or a whole source is named by its own name where that is empty, and what lies in a folder by its POSIX path below
    it: the same wherever the folder is. Hidden files and sidecars are skipped. Raises `InputError` where nothing is.
    """
    if path.exists():
        yield from _below(path, uri or ("" if path.is_dir() else path.name), frozenset())
        return
    matches, base = _matches(path)
    if not matches:
        raise InputError("no such file or folder", where=str(path), hint=_HINT)
    for match in matches:
        name = match.relative_to(base).as_posix()
        named = uri if match == base else f"{uri}/{name}" if uri else name
        yield from _below(match, named, frozenset())


def sniff(path: Path, *, where: str | None = None) -> str:
    """ "hdf5", "mcap" or "rlds" of a file; a folder is known by `find`.

    Raises `FormatError` (empty, unreadable, unknown_format, or the name of a container that is known and not read:
    lfs_pointer, ros1_bag, ros2_db3, svo, npz, pickle, parquet_alone, video_alone ...).
    """
    where = where or str(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error
    if not head:
        raise FormatError("the file is empty", where=where, hint="Copy it again", code="empty")
    if head.startswith(MAGIC_MCAP):
        return "mcap"
    if any(head[offset : offset + len(MAGIC_HDF5)] == MAGIC_HDF5 for offset in (0, *_HDF5_USER_BLOCKS)):
        return "hdf5"
    if length_of(head[:12]) is not None:
        return "rlds"
    refused = stranger(path, head, where=where)
    if refused is not None:
        raise refused
    if _TFRECORD in path.name:
        # Damaged at its very beginning: its reader says where.
        return "rlds"
    raise FormatError(
        f"unknown format; it begins with {head[:8]!r}",
        where=where,
        hint="Read are HDF5, MCAP, RLDS (TFRecord) and LeRobot folders",
        code="unknown_format",
    )


def _below(path: Path, uri: str, above: frozenset[Path]) -> Iterator[Found | FormatError]:
    """`uri`: "" for the folder that names begin below."""
    where = uri or path.resolve().name
    if path.is_file():
        yield _file(path, where)
        return
    try:
        whole = _folder_format(path, where)
        children = sorted(path.iterdir(), key=lambda child: child.name)
    except OSError as error:
        yield FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable")
        return
    if whole:
        yield whole if isinstance(whole, FormatError) else Found(path, where, whole)
        return
    # A link to a folder above would never end.
    above |= {path.resolve()}
    for child in children:
        if not _skipped(child) and not (child.is_symlink() and child.resolve() in above):
            yield from _below(child, f"{uri}/{child.name}" if uri else child.name, above)


def _file(path: Path, uri: str) -> Found | FormatError:
    try:
        return Found(path, uri, sniff(path, where=uri))
    except FormatError as error:
        return error


def _skipped(path: Path) -> bool:
    name = path.name.lower()
    return name.startswith(".") or name in _SIDECARS or name.endswith(_SIDECAR_SUFFIXES)


def _folder_format(path: Path, where: str) -> str | FormatError | None:
    """The format of a folder whose files belong together, or None for one that only holds others."""
    if (path / "meta" / "info.json").is_file():
        return "lerobot"
    if (path / "trajectory.h5").is_file():
        return "hdf5"
    if (path / _ROSBAG2).is_file() and any(path.glob("*.mcap")):
        with (path / _ROSBAG2).open("rb") as stream:
            if b"rosbag2_bagfile_information" in stream.read(4096):
                return "mcap"
    return strange_folder(path, where=where)


def _matches(pattern: Path) -> tuple[list[Path], Path]:
    """What a pattern matches, without what lies in a folder that it matches too; and the folder that it begins in."""
    fixed = next((n for n, part in enumerate(pattern.parts) if set(part) & set("*?[")), len(pattern.parts))
    base, below = Path(*pattern.parts[:fixed]), "/".join(pattern.parts[fixed:])
    found: list[Path] = []
    for match in sorted(base.glob(below)) if below and base.is_dir() else ():
        if not _skipped(match) and not any(known in match.parents for known in found):
            found.append(match)
    return found, base
