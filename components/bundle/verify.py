"""Is this folder the bundle that was sealed?"""

from __future__ import annotations

import re
from pathlib import Path

from components.bundle.write import MANIFEST_NAME, REQUIRED, require_plain
from components.core.errors import BundleError
from components.core.files import read_json, sha256_bytes, sha256_file

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = "Export it again, or fetch it from the registry"


def verify(folder: Path) -> str:
    """Compares every file with manifest.json and returns the bundle digest.

    Raises `BundleError` naming the first file that is missing, changed, or not part of the bundle.
    """
    path = folder / MANIFEST_NAME
    try:
        data = path.read_bytes()
        manifest = read_json(path)
    except FileNotFoundError as error:
        raise BundleError(
            f"no {MANIFEST_NAME}", where=str(folder), hint="A bundle is a folder that was sealed"
        ) from error
    except ValueError as error:
        raise BundleError(f"not JSON: {error}", where=str(path), hint=_HINT) from error
    _check_manifest(manifest, path)
    require_plain(folder)
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} - {MANIFEST_NAME}
    if missing := sorted(manifest.keys() - present):
        raise BundleError(f"{missing[0]} is missing", where=str(folder), hint=_HINT)
    if extra := sorted(present - manifest.keys()):
        raise BundleError(f"{extra[0]} is not part of the bundle", where=str(folder), hint="Take it out")
    for name, expected in sorted(manifest.items()):
        if sha256_file(folder / name) != expected:
            raise BundleError(f"{name} is not what was sealed (its sha256 differs)", where=str(folder), hint=_HINT)
    return sha256_bytes(data)


def _check_manifest(manifest: object, path: Path) -> None:
    if not isinstance(manifest, dict):
        raise BundleError("not a JSON object", where=str(path), hint=_HINT)
    for name, digest in manifest.items():
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise BundleError(f"the entry of {name} is not a sha256", where=str(path), hint=_HINT)
    for name in REQUIRED:
        if name not in manifest:
            raise BundleError(f"{name} is not listed", where=str(path), hint=_HINT)
