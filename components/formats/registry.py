"""Which reader a file belongs to, judged by its first bytes and never by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from components.core.episode import Episode
from components.core.errors import FormatError
from components.core.files import sha256_file
from components.formats import hdf5, mcap

_READERS: dict[str, ModuleType] = {"hdf5": hdf5, "mcap": mcap}
_MAGIC = {hdf5.MAGIC: "hdf5", mcap.MAGIC: "mcap"}
# Named in the refusal, so that nobody has to look into the file.
_STRANGERS = {
    b"PAR1": "a Parquet file",
    b"#ROSBAG V2.0": "a ROS 1 bag",
    b"SQLite format 3": "an SQLite file (a ROS 2 bag in db3?)",
    b"PK\x03\x04": "a zip or npz archive",
    b"\x93NUMPY": "a numpy array",
    b"\x80\x04": "a pickle, which is never loaded",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
}
_LFS = b"version https://git-lfs"
_HDF5_USER_BLOCKS = (512, 1024, 2048, 4096)


def sniff(path: Path, *, where: str | None = None) -> str:
    """ "hdf5" or "mcap". Raises `FormatError` (lfs_pointer, empty, unknown_format, unreadable)."""
    where = where or str(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HDF5_USER_BLOCKS[-1] + 8)
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})", where=where, code="unreadable") from error
    if not head:
        raise FormatError("the file is empty", where=where, hint="Copy it again", code="empty")
    if head.startswith(_LFS):
        raise FormatError(
            "a git-LFS pointer instead of the recording", where=where, hint="Run `git lfs pull`", code="lfs_pointer"
        )
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    # HDF5 may keep a block of the user's own in front of its signature.
    if any(head[offset : offset + 8] == hdf5.MAGIC for offset in _HDF5_USER_BLOCKS):
        return "hdf5"
    looks = next((name for magic, name in _STRANGERS.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        looks = "an MP4 video"
    raise FormatError(
        f"looks like {looks}" if looks else f"unknown format; it begins with {head[:8]!r}",
        where=where,
        hint=f"Known are {', '.join(sorted(_READERS))}",
        code="unknown_format",
    )


def recording_files(path: Path) -> list[Path]:
    """The file itself, or all files below a folder sorted by path; hidden ones and sidecars are skipped."""
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if not _skipped(file.relative_to(path)))


def _skipped(relative: Path) -> bool:
    # metadata.yaml lies beside the MCAP files of rosbag2 and repeats what they say.
    return relative.name == "metadata.yaml" or any(part.startswith(".") for part in relative.parts)


@dataclass(frozen=True)
class Recording:
    """A file and the parts it holds: demo names of HDF5, one part "" of MCAP."""

    path: Path
    uri: str
    format: str
    sha256: str
    parts: tuple[str, ...]

    def uri_of(self, part: str) -> str:
        return f"{self.uri}#{part}" if part else self.uri


def source_uri(path: Path, root: Path) -> str:
    """POSIX path below `root`: the same wherever the folder lies."""
    return path.relative_to(root).as_posix()


def open_recording(path: Path, *, uri: str) -> Recording:
    """Sniffs, hashes and lists a file without reading its episodes. Raises `FormatError`."""
    name = sniff(path, where=uri)
    return Recording(path, uri, name, sha256_file(path), _READERS[name].parts(path, where=uri))


def read_part(recording: Recording, part: str) -> Episode:
    """One episode. Raises `FormatError` or `EpisodeError`; the other parts can still be read."""
    episode: Episode = _READERS[recording.format].read_part(
        recording.path, part, uri=recording.uri, sha256=recording.sha256
    )
    return episode


def read(path: Path, *, root: Path) -> Iterator[Episode]:
    """Every readable episode of a file; then, if there were broken ones, raises the first one's error."""
    recording = open_recording(path, uri=source_uri(path, root))
    broken: FormatError | None = None
    for part in recording.parts:
        try:
            episode = read_part(recording, part)
        except FormatError as error:
            broken = broken or error
            continue
        yield episode
    if broken is not None:
        raise broken
