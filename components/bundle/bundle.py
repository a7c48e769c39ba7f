"""A policy that acts: verified, checked and run with numpy and onnxruntime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.bundle.contract import CONTRACT_NAME, Contract, read_contract
from components.bundle.session import PolicySession
from components.bundle.verify import verify
from components.bundle.warmup import WARMUP_NAME, Warmup, read_warmup
from components.bundle.weights import require_finite_weights
from components.bundle.write import GRAPH_NAME
from components.core.errors import BundleError, ContractError
from components.core.files import sha256_file
from components.core.records import RECORD_NAME, Record, read_record
from components.core.spec import Embodiment, require_same
from components.transforms.chain import PolicyTransforms
from components.transforms.store import TOKENIZER_NAME, TRANSFORMS_NAME


@dataclass(frozen=True)
class Bundle:
    """What `load_bundle` gives. `digest`: sha256 of the manifest; it names these exact bytes."""

    folder: Path
    digest: str
    contract: Contract
    record: Record
    transforms: PolicyTransforms
    session: PolicySession
    warmup: Warmup

    def act(
        self, images: Mapping[str, npt.NDArray[np.uint8]], state: npt.NDArray[np.floating], instructions: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """Actions for B observations.

        images {camera: uint8 [B, H, W, 3] RGB}, state [B, S] physical, B instructions -> float32 [B, chunk, A]
        physical, within the limits. Raises `ContractError` for what does not fit, and for an action that is not finite.
        """
        return self.transforms.outputs(self.session.run(self.transforms.inputs(images, state, instructions)))

    def warm_up(self) -> float:
        """Acts on the example that travels with the bundle; returns the largest |found - expected| (physical units)."""
        example = self.warmup
        try:
            found = self.act(
                example.by_camera(self.contract.embodiment.observation.cameras), example.state, example.instructions
            )
        except ContractError as error:
            raise BundleError(f"on its own example: {error.message}", where=str(self.folder / WARMUP_NAME)) from error
        if found.shape != example.actions.shape:
            raise BundleError(
                f"answers {list(found.shape)}, its example expects {list(example.actions.shape)}",
                where=str(self.folder / WARMUP_NAME),
            )
        if not np.isfinite(example.actions).all():
            raise BundleError("tensor 'actions' holds NaN", where=str(self.folder / WARMUP_NAME))
        return float(np.abs(found.astype(np.float64) - example.actions).max())


def load_bundle(folder: Path, *, threads: int = 1, expect: Embodiment | None = None) -> Bundle:
    """Verifies a sealed folder and loads it; `expect` is the embodiment of the robot that will run it.

    Raises `BundleError` naming the file or field: missing, changed and foreign files, another embodiment, NaN among the
    weights, a graph or transforms that do not fit the contract, and NaN for the bundle's own warm-up example. How far
    the warm-up may be off is the caller's to judge, by `Bundle.warm_up`.
    """
    digest = verify(folder)
    contract = read_contract(folder)
    if expect is not None:
        _require_same(expect, contract.embodiment, folder / CONTRACT_NAME)
    transforms = _load_transforms(folder, contract)
    require_finite_weights(folder / GRAPH_NAME)
    session = PolicySession(folder / GRAPH_NAME, contract, threads=threads)
    record = read_record(folder, "bundle")
    if record.digest != sha256_file(folder / GRAPH_NAME):
        raise BundleError(f"the record is not of this {GRAPH_NAME}", where=str(folder / RECORD_NAME))
    bundle = Bundle(folder, digest, contract, record, transforms, session, read_warmup(folder))
    bundle.warm_up()
    return bundle


def _load_transforms(folder: Path, contract: Contract) -> PolicyTransforms:
    try:
        transforms = PolicyTransforms.load(folder)
    except ContractError as error:
        raise BundleError(error.message, where=error.where or str(folder)) from error
    _require_same(contract.embodiment, transforms.embodiment, folder / TRANSFORMS_NAME)
    if transforms.text_len != contract.text_len:
        raise BundleError(
            f"text length {transforms.text_len}, the contract says {contract.text_len}",
            where=str(folder / TOKENIZER_NAME),
        )
    return transforms


def _require_same(expected: Embodiment, found: Embodiment, path: Path) -> None:
    try:
        require_same(expected, found, where=str(path))
    except ContractError as error:
        hint = "A policy acts on the embodiment it was trained for"
        raise BundleError(error.message, where=str(path), hint=hint) from error
