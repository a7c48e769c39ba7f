"""Containers that are known and not read: what each is, and the command that turns it into one that is."""

from __future__ import annotations

import json
from pathlib import Path

from components.core.errors import FormatError

_MAP = "then say with --map what is which stream"
_ROSBAGS = "Run `pip install rosbags && rosbags-convert --src {source} --dst OUT --dst-storage mcap`"
_PICKLE = "Run the program that wrote it again and have it write HDF5 or MCAP"
_SVO = "Run `ZED_SVO_Export {source} OUT.mp4 0` of the ZED SDK, and put the videos beside the DROID trajectory.h5"
_FOLDER = "Give the folder of the LeRobot dataset that it belongs to: `gripline inspect FOLDER`"

# Magic, code, what it is, what to do.
_BY_MAGIC: tuple[tuple[bytes, str, str, str], ...] = (
    (b"version https://git-lfs", "lfs_pointer", "a git-LFS pointer instead of the recording", "Run `git lfs pull`"),
    (b"#ROSBAG V", "ros1_bag", "a ROS 1 bag", _ROSBAGS),
    (b"SQLite format 3\0", "ros2_db3", "an SQLite file, which ROS 2 calls db3", _ROSBAGS),
    (b"PAR1", "parquet_alone", "a Parquet file alone", _FOLDER),
    (b"\x93NUMPY", "numpy_array", "a numpy array", "Put it into an HDF5 file with h5py, " + _MAP),
    (b"\x80\x02", "pickle", "a pickle, which is never loaded", _PICKLE),
    (b"\x80\x03", "pickle", "a pickle, which is never loaded", _PICKLE),
    (b"\x80\x04", "pickle", "a pickle, which is never loaded", _PICKLE),
    (b"\x80\x05", "pickle", "a pickle, which is never loaded", _PICKLE),
    (b"\x1f\x8b", "gzip_archive", "a gzip file", "Run `gunzip {source}`"),
    (b"\x28\xb5\x2f\xfd", "zstd_archive", "a zstd file", "Run `zstd -d {source}`"),
    (b"BZh", "bzip2_archive", "a bzip2 file", "Run `bunzip2 {source}`"),
    (b"\x1aE\xdf\xa3", "video_alone", "a Matroska video alone", _FOLDER),
    (b"\xff\xd8\xff", "picture_alone", "a JPEG picture alone", _FOLDER),
    (b"\x89PNG\r\n", "picture_alone", "a PNG picture alone", _FOLDER),
)
_ZIP = b"PK\x03\x04"
# File names in a zip begin here; the first of an npz is an array, the one of a PyTorch file a pickle.
_ZIP_NAME = 30
_BY_SUFFIX = {
    ".svo": ("svo", "a ZED recording (SVO)", _SVO),
    ".svo2": ("svo", "a ZED recording (SVO)", _SVO),
    ".pkl": ("pickle", "a pickle, which is never loaded", _PICKLE),
    ".db3": ("ros2_db3", "a ROS 2 bag in db3", _ROSBAGS),
    ".bag": ("ros1_bag", "a ROS 1 bag", _ROSBAGS),
}
_ZARR = (".zgroup", ".zarray", ".zattrs", "zarr.json")


def stranger(path: Path, head: bytes, *, where: str) -> FormatError | None:
    """What a file with this head is, where it is known and not read."""
    for magic, code, name, hint in _BY_MAGIC:
        if head.startswith(magic):
            return _refused(path, code, name, hint, where)
    if head.startswith(_ZIP):
        return _refused(path, *_zip(head), where)
    if head[4:8] == b"ftyp":
        return _refused(path, "video_alone", "an MP4 video alone", _FOLDER, where)
    if path.suffix.lower() in _BY_SUFFIX:
        return _refused(path, *_BY_SUFFIX[path.suffix.lower()], where)
    return None


def strange_folder(path: Path, *, where: str) -> FormatError | None:
    """A zarr store or a manifest of datasets; None for all else."""
    if _is_manifest(path / "manifest.json"):
        return FormatError(
            "a manifest, which names datasets; ingest takes recordings",
            where=where,
            hint="Give the recordings, or the folders of the datasets that it names",
            code="manifest",
        )
    if not any((path / name).is_file() for name in _ZARR):
        return None
    hint = (
        "Run `pip install 'zarr<3' h5py && python -c \"import h5py, zarr; "
        "zarr.copy_all(zarr.open('{source}', 'r'), h5py.File('OUT.hdf5', 'w'))\"`, " + _MAP
    )
    return _refused(path, "zarr", "a zarr store", hint, where)


def _is_manifest(path: Path) -> bool:
    """Policy bundles have a file of that name too, and so may anything else."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("kind") == "manifest" and "members" in told


def _zip(head: bytes) -> tuple[str, str, str]:
    length = int.from_bytes(head[26:28], "little")
    name = head[_ZIP_NAME : _ZIP_NAME + length]
    if name.endswith(b".npy"):
        return "npz", "an archive of numpy arrays (npz)", "Put the arrays into an HDF5 file with h5py, " + _MAP
    if name.endswith(b"data.pkl"):
        return "pickle", "a PyTorch file, which holds a pickle and is never loaded", _PICKLE
    return "zip_archive", "a zip archive", "Run `unzip {source}`"


def _refused(path: Path, code: str, name: str, hint: str, where: str) -> FormatError:
    source = path.parent if code == "ros2_db3" and (path.parent / "metadata.yaml").is_file() else path
    return FormatError(f"{name}; it is not read", where=where, hint=hint.replace("{source}", source.name), code=code)
