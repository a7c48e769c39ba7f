"""A manifest: episodes of several datasets, by name. It copies no frame, and says where each dataset lay.

A folder with manifest.json and, for each member, a copy of the small metadata: enough to select, count and merge
statistics where the member itself is not at hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.core.errors import DatasetError, UsageError
from components.core.files import canonical_json, read_json, sha256_bytes, sha256_file, write_json
from components.dataset import layout
from components.dataset.names import require_inside

MANIFEST = "manifest.json"
KIND = "manifest"
VERSION = 1
# NAME=PATH, several separated as in PATH: where members lie on this machine.
AT_VARIABLE = "GRIPLINE_AT"

# What is copied of a member, under the same names as in its tree; the index holds the rows of the chosen episodes.
COPIED = (layout.INFO, layout.STATS, layout.OWN_EMBODIMENT, layout.OWN_RECORD, layout.OWN_TOTALS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AGAIN = "Make the manifest again"


@dataclass(frozen=True)
class Member:
    """A dataset that a manifest takes episodes of.

    `uri`: a path, relative to the manifest or absolute, or a file:// URI; `digest`: of the dataset as it was taken;
    `whole`: whether all of its episodes are in, else they are those of the copied index; `resplit`: whether the copied
    index holds out episodes that the dataset does not.
    """

    name: str
    uri: str
    digest: str
    embodiment: str
    embodiment_digest: str
    sites: tuple[str, ...]
    episodes: int
    frames: int
    whole: bool
    resplit: bool = False


@dataclass(frozen=True)
class Manifest:
    """`root`: its folder; `digest`: of the episodes, in no order; `files`: copied file -> sha256."""

    root: Path
    digest: str
    members: tuple[Member, ...]
    totals: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)

    def folder(self, member: Member) -> Path:
        """The copied metadata of a member, laid out as its tree is."""
        return member_folder(self.root, member.name)

    def write(self) -> None:
        value = {"kind": KIND, "version": VERSION, "digest": self.digest, "totals": self.totals, "files": self.files}
        write_json(self.root / MANIFEST, {**value, "members": [asdict(member) for member in self.members]})


def member_folder(root: Path, name: str) -> Path:
    return root / "members" / name


def is_manifest(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def require_tree(path: Path) -> None:
    """Raises `UsageError` for a manifest, where only a tree can be changed."""
    if is_manifest(path):
        names = ", ".join(f"{member.name} ({member.uri})" for member in read_manifest(path).members)
        raise UsageError("a manifest holds no episode itself", where=str(path), hint=f"Edit its members: {names}")


def read_manifest(root: Path) -> Manifest:
    """Raises `DatasetError` where it is damaged or a copied file is not the one that was written."""
    path = root / MANIFEST
    try:
        value = read_json(path)
        if (value["kind"], value["version"]) != (KIND, VERSION):
            raise DatasetError(f"a {value['kind']!r} of version {value['version']!r}", where=str(path), hint=_AGAIN)
        members = tuple(Member(**{**one, "sites": tuple(one["sites"])}) for one in value["members"])
        manifest = Manifest(root, value["digest"], members, value["totals"], value["files"])
    except FileNotFoundError as error:
        raise DatasetError(f"not a manifest, there is no {MANIFEST}", where=str(root)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"not a manifest: {error}", where=str(path), hint=_AGAIN) from error
    _require_names(manifest, path)
    for name, expected in manifest.files.items():
        if not (root / name).is_file():
            raise DatasetError(f"there is no {name}", where=str(root), hint=_AGAIN)
        if sha256_file(root / name) != expected:
            raise DatasetError("differs from what the manifest was made with", where=str(root / name), hint=_AGAIN)
    return manifest


def _require_names(manifest: Manifest, path: Path) -> None:
    """Nothing that it names leads out of its folder."""
    for member in manifest.members:
        if not isinstance(member.name, str) or not _NAME.fullmatch(member.name):
            raise DatasetError(f"{member.name!r} cannot name a member", where=str(path), hint=_AGAIN)
    if not isinstance(manifest.files, dict):
        raise DatasetError(f"not a manifest: files is {manifest.files!r}", where=str(path), hint=_AGAIN)
    folders = (f"members/{member.name}/{MANIFEST}" for member in manifest.members)
    require_inside(manifest.root, [*manifest.files, *folders])


def manifest_digest(datasets: Iterable[str]) -> str:
    """Of the `dataset_digest`s of the episodes, one for each way in which they were built.

    Episodes that one tree could hold have the digest of that tree.
    """
    digests = sorted(datasets)
    return digests[0] if len(digests) == 1 else sha256_bytes(canonical_json({"datasets": digests}).encode())


def uri_of(root: Path, manifest: Path) -> str:
    """How a manifest names a dataset: relative where both have a folder in common, so that they can move together."""
    here, there = root.resolve(), manifest.resolve()
    common = Path(os.path.commonpath([here, there.parent]))
    return Path(os.path.relpath(here, there)).as_posix() if common != Path(common.anchor) else here.as_posix()


def place_of(manifest: Manifest, member: Member, at: Mapping[str, Path]) -> Path | None:
    """Where a member lies on this machine, if `at` or its URI lead to a folder."""
    if member.name in at:
        path = at[member.name]
        if not path.is_dir():
            raise UsageError(f"no folder, given for the member {member.name!r}", where=str(path))
        return path
    parts = urlsplit(member.uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    path = Path(unquote(parts.path)) if parts.scheme else Path(member.uri)
    path = path if path.is_absolute() else Path(os.path.normpath(manifest.root.resolve() / path))
    return path if path.is_dir() else None


def places(given: Iterable[str] = ()) -> dict[str, Path]:
    """NAME=PATH pairs, those of GRIPLINE_AT included; `given` rules. Raises `UsageError` for anything else."""
    found = {}
    for pair in [*filter(None, os.environ.get(AT_VARIABLE, "").split(os.pathsep)), *given]:
        name, equals, path = pair.partition("=")
        if not equals or not path:
            raise UsageError(
                f"{pair!r} is not NAME=PATH", where=AT_VARIABLE, hint="Write for example lab-a=/data/lab-a"
            )
        require_name(name)
        found[name] = Path(path)
    return found


def require_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a member", hint="Use letters, digits, dot, dash and underscore")
    return name
