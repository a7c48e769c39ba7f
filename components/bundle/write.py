"""Sealing: after it, every change to a bundle is seen."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import BundleError
from components.core.files import sha256_file, tree_manifest, write_json

MANIFEST_NAME = "manifest.json"
GRAPH_NAME = "policy.onnx"
REQUIRED = (
    GRAPH_NAME,
    "contract.json",
    "transforms.json",
    "stats.safetensors",
    "tokenizer.json",
    "parity.json",
    "warmup.safetensors",
    "card.md",
    "record.json",
)


def seal(folder: Path) -> str:
    """Writes manifest.json {file: sha256} and returns its own sha256, the bundle digest.

    Raises `BundleError` where a required file is missing, or something in the folder is not a plain file.
    """
    for name in REQUIRED:
        if not (folder / name).is_file():
            raise BundleError(f"{name} is missing", where=str(folder), hint="A bundle is sealed when it is complete")
    require_plain(folder)
    write_json(folder / MANIFEST_NAME, tree_manifest(folder, skip=(MANIFEST_NAME,)))
    return sha256_file(folder / MANIFEST_NAME)


def require_plain(folder: Path) -> None:
    """Raises `BundleError` for a link: what it points at would not travel with the bundle."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise BundleError(f"{path.relative_to(folder).as_posix()} is a link", where=str(folder))
