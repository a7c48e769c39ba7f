"""What a foreign trainer's own runtime answered to recorded observations: the reference for parity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from components.bundle.contract import Contract
from components.core.errors import ContractError

MIN_SAMPLES = 16
_DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int64)": np.int64}
_PLACES = ("episode_index", "frame_index")


@dataclass(frozen=True)
class Samples:
    """N observations and answers.

    images uint8 [N, K, px, px, 3], state float32 [N, S] and actions float32 [N, H, A] in physical units,
    tokens int64 [N, T]; episode_index and frame_index int64 [N] say which recorded frame each one is.
    """

    images: npt.NDArray[np.uint8]
    state: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int64]
    actions: npt.NDArray[np.float32]
    episode_index: npt.NDArray[np.int64]
    frame_index: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.state)


def read_samples(path: Path, contract: Contract) -> Samples:
    """Raises `ContractError` naming the file and the tensor that is missing, foreign, misshapen or not finite."""
    try:
        found = load(path.read_bytes())
    except FileNotFoundError as error:
        raise ContractError("no such file", where=str(path)) from error
    except SafetensorError as error:
        raise ContractError(f"not safetensors: {error}", where=str(path)) from error
    names = (*contract.inputs, *contract.outputs)
    expected = {name: (_DTYPES[kind], shape) for name, (kind, shape) in contract.shapes().items()}
    expected |= dict.fromkeys(_PLACES, (np.int64, ()))
    if odd := sorted(found.keys() ^ expected.keys()):
        raise ContractError(f"tensor {odd[0]!r} is {'missing' if odd[0] in expected else 'unknown'}", where=str(path))
    count = len(found[names[0]])
    for name, (dtype, shape) in expected.items():
        array = found[name]
        if array.dtype != dtype or array.shape != (count, *shape):
            raise ContractError(
                f"tensor {name!r} is {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} {[count, *shape]}",
                where=str(path),
            )
        if not np.isfinite(array).all():
            raise ContractError(f"tensor {name!r} holds NaN or infinity", where=str(path))
    if count < MIN_SAMPLES:
        raise ContractError(f"{count} samples, at least {MIN_SAMPLES} are needed", where=str(path))
    return Samples(*(found[name] for name in (*names, *_PLACES)))
