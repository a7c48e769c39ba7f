"""The value check that travels with a bundle: real observations and the actions that must follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from components.core.errors import BundleError
from components.core.files import write_bytes

WARMUP_NAME = "warmup.safetensors"
_TENSORS = {"images": ("uint8", 5), "state": ("float32", 2), "instruction": ("uint8", 2), "actions": ("float32", 3)}


@dataclass(frozen=True)
class Warmup:
    """N observations in physical units and the actions expected for them.

    `images` uint8 [N, K, H, W, 3] in the camera order of the contract, `state` float32 [N, S], N `instructions`,
    `actions` float32 [N, H, A] after the transforms: physical and clamped.
    """

    images: npt.NDArray[np.uint8]
    state: npt.NDArray[np.float32]
    instructions: tuple[str, ...]
    actions: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.instructions)

    def by_camera(self, cameras: Sequence[str]) -> dict[str, npt.NDArray[np.uint8]]:
        """{camera: uint8 [N, H, W, 3]}, as `Bundle.act` takes it."""
        return {camera: self.images[:, index] for index, camera in enumerate(cameras)}


def write_warmup(folder: Path, warmup: Warmup) -> None:
    """Writes warmup.safetensors; instructions are kept as UTF-8 bytes, padded with zeros."""
    words = [instruction.encode() for instruction in warmup.instructions]
    padded = np.zeros((len(words), max(map(len, words))), dtype=np.uint8)
    for row, text in enumerate(words):
        padded[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    tensors = {"images": warmup.images, "state": warmup.state, "instruction": padded, "actions": warmup.actions}
    write_bytes(folder / WARMUP_NAME, save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}))


def read_warmup(folder: Path) -> Warmup:
    """Raises `BundleError` naming the tensor that is missing or of the wrong type."""
    path = folder / WARMUP_NAME
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise BundleError(f"not safetensors: {error}", where=str(path)) from error
    for name, (dtype, ndim) in _TENSORS.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype.name != dtype or tensor.ndim != ndim:
            found = "missing" if tensor is None else f"{tensor.dtype.name} {list(tensor.shape)}"
            raise BundleError(f"tensor {name!r} is {found}, expected {dtype} of {ndim} axes", where=str(path))
    counts = {len(tensor) for tensor in tensors.values()}
    if len(counts) != 1 or counts == {0}:
        raise BundleError(f"tensors of different or zero length: {sorted(counts)}", where=str(path))
    instructions = tuple(bytes(row).rstrip(b"\0").decode() for row in tensors["instruction"])
    return Warmup(tensors["images"], tensors["state"], instructions, tensors["actions"])
