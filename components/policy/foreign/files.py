"""Weights on disk: one safetensors file, or several with an index. Nothing is unpickled, ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from components.core.errors import InputError
from components.core.files import read_json

INDEX_NAME = "model.safetensors.index.json"
# What OpenVLA-OFT saves apart from the model; it does so as pickles.
APART = ("action_head", "proprio_projector")
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
_OCDBT = ("manifest.ocdbt", "_CHECKPOINT_METADATA", "params/manifest.ocdbt", "params/_METADATA")
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Weights(Mapping[str, Tensor]):
    """Tensors by name, each read when it is asked for; `meta` has their shapes alone.

    `files`: name -> file, and the name in it.
    """

    def __init__(self, files: Mapping[str, tuple[Path, str]]) -> None:
        self._files = dict(sorted(files.items()))

    def __getitem__(self, name: str) -> Tensor:
        path, inner = self._files[name]
        with safe_open(path, framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(inner)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def meta(self) -> dict[str, Tensor]:
        """The same names, with shapes and types and no numbers: only the headers of the files are read."""
        made = {}
        for file in dict.fromkeys(path for path, _ in self._files.values()):
            with safe_open(file, framework="pt") as opened:
                for inner in opened.keys():  # noqa: SIM118, not a mapping
                    found = opened.get_slice(inner)
                    kind = _TYPES.get(found.get_dtype(), torch.int64)
                    made[file, inner] = torch.empty(found.get_shape(), dtype=kind, device="meta")
        return {name: made[place] for name, place in self._files.items()}


def open_weights(folder: Path) -> Weights:
    """The weights in `folder`.

    Raises `InputError` where there are none, where a shard is missing or damaged, and where there is only a pickle or
    an Orbax checkpoint: with what turns it into safetensors.
    """
    found = _sharded(folder) if (folder / INDEX_NAME).is_file() else _single(folder)
    for stem in APART:
        if (path := folder / f"{stem}.safetensors").is_file():
            # Processes that trained together leave a prefix.
            found |= {f"{stem}.{name.removeprefix('module.')}": (path, name) for name in _names(path)}
    return Weights(found)


def _single(folder: Path) -> dict[str, tuple[Path, str]]:
    files = sorted(path for path in folder.glob("*.safetensors") if "processor" not in path.name)
    files = [path for path in files if path.stem not in APART]
    plain = folder / "model.safetensors"
    chosen = [plain] if plain in files else files
    if not chosen:
        _refuse(folder)
    if len(chosen) > 1:
        raise InputError(
            f"{len(chosen)} weight files and no {INDEX_NAME}",
            where=str(folder),
            hint="Bring the index that belongs to them",
        )
    return {name: (chosen[0], name) for name in _names(chosen[0])}


def _sharded(folder: Path) -> dict[str, tuple[Path, str]]:
    index = _json(folder / INDEX_NAME)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InputError("no weight_map in it", where=str(folder / INDEX_NAME))
    held: dict[str, list[str]] = {}
    for name, file in places.items():
        # An index names files beside it, and none elsewhere.
        if Path(str(file)).name != file:
            raise InputError(f"{name} is said to be in {file!r}, outside of the folder", where=str(folder / INDEX_NAME))
        held.setdefault(file, []).append(name)
    for file, names in held.items():
        if not (folder / file).is_file():
            raise InputError(f"{file} is missing, with {len(names)} tensors", where=str(folder), hint="Bring all files")
        if absent := sorted(set(names) - set(_names(folder / file))):
            raise InputError(f"{absent[0]} is not in it, the index says so", where=str(folder / file))
    return {name: (folder / file, name) for name, file in places.items()}


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"not safetensors: {error}", where=str(path)) from error


def _refuse(folder: Path) -> None:
    if any((folder / name).exists() for name in _OCDBT):
        raise InputError(
            "an Orbax checkpoint of JAX, which is not read here",
            where=str(folder),
            hint="Convert it in openpi's environment: python examples/convert_jax_model_to_pytorch.py "
            f"--checkpoint_dir {folder} --output_path NEW; then import NEW",
        )
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES) if folder.is_dir() else []
    if pickles:
        raise InputError(
            f"{pickles[0]} is a pickle, which can run code when it is read",
            where=str(folder),
            hint="Where you trust it, load it in its trainer's environment and write its state dict with "
            "safetensors.torch.save_file(state_dict, 'model.safetensors'); then import that folder",
        )
    raise InputError("no weights", where=str(folder), hint=f"Give a folder with model.safetensors, or {INDEX_NAME}")


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"not JSON: {error}", where=str(path)) from error


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON object of `folder`; empty where there is no such file. Raises `InputError` where it is none."""
    path = folder / name
    if not path.is_file():
        return {}
    value = _json(path)
    if not isinstance(value, dict):
        raise InputError("not a JSON object", where=str(path))
    return value
