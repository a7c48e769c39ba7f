"""Lightning's checkpoint dict as a folder: tensors.safetensors and state.json. No pickle, whole or absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from components.core.errors import RecordError
from components.core.files import fsync, replace_dir, write_text
from components.train.state_tree import decode, encode

TENSORS_NAME = "tensors.safetensors"
STATE_NAME = "state.json"
_FORMAT = "gripline-state-1"


def write_state(folder: Path, value: dict[str, Any]) -> None:
    """Writes `value` as `folder`, which is either there and whole or not there at all.

    It holds mappings, lists, tuples, numbers, text, None, tensors, arrays and dtypes. Raises `StateError`, which names
    the place of anything else.
    """
    tree, tensors = encode(value)
    with replace_dir(folder) as temporary:
        save_file(tensors, temporary / TENSORS_NAME)
        fsync(temporary / TENSORS_NAME)
        write_text(temporary / STATE_NAME, json.dumps({"format": _FORMAT, "tree": tree}, allow_nan=False) + "\n")


def read_state(folder: Path) -> dict[str, Any]:
    """Inverse of `write_state`, tensors in main memory. Raises `RecordError` where the folder is damaged."""
    tree = _tree(folder)
    try:
        tensors = load_file(folder / TENSORS_NAME)
        return decode(tree, tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(folder, str(error)) from error


def require_whole(folder: Path) -> None:
    """Looks at sizes and headers alone. Raises `RecordError` where a file is missing, cut short or none of ours."""
    _tree(folder)
    try:
        with safe_open(folder / TENSORS_NAME, framework="pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise _damaged(folder, str(error)) from error


def _tree(folder: Path) -> Any:
    try:
        stored = json.loads((folder / STATE_NAME).read_text())
    except (OSError, ValueError) as error:
        raise _damaged(folder, str(error)) from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise _damaged(folder, f"{STATE_NAME} is not of format {_FORMAT}")
    return stored.get("tree")


def _damaged(folder: Path, why: str) -> RecordError:
    return RecordError(
        f"not a whole state of a training run: {why}", where=str(folder), hint="Remove the folder and run again"
    )


class FolderCheckpointIO(CheckpointIO):
    """What Lightning calls to keep and to take up a state."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        write_state(Path(path), checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_state(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
