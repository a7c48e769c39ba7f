"""A torch policy as a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from components.bundle.contract import Contract
from components.core.errors import ContractError
from components.core.records import Record
from components.core.spec import require_same
from components.export.assemble import Bundled, assemble
from components.export.observations import Observations
from components.export.onnx import to_onnx
from components.export.parity import Policy
from components.policy.action_heads.flow import convention_of
from components.transforms.chain import PolicyTransforms


def bundle_module(
    module: nn.Module,
    transforms: PolicyTransforms,
    folder: Path,
    *,
    contract: Contract,
    observations: Observations,
    record: Record,
    limit: float,
) -> Bundled:
    """Exports a torch policy into `folder`; torch itself is the reference for parity and for the warm-up.

    `record`: kind "bundle" with inputs, params and attrs; digest and counts of the graph are filled in here.
    Raises `GateRefused` where the graph differs from torch by more than `limit` (physical units), `ContractError` where
    the contract says another flow convention than the one that the policy answers by.
    """
    require_same(transforms.embodiment, contract.embodiment, where=str(folder))
    if contract.flow_convention != convention_of(module):
        raise ContractError(
            f"flow_convention is {contract.flow_convention!r}, {contract.preset} answers by {convention_of(module)!r}",
            where=str(folder),
        )
    inputs = transforms.inputs(observations.images, observations.state, observations.instructions)
    with one_thread():
        graph = to_onnx(module, contract, inputs)
        reference = _as_policy(module.eval(), contract)
        return assemble(
            folder,
            graph,
            transforms,
            contract=contract,
            observations=observations,
            reference=reference,
            names=("torch", "onnxruntime"),
            record=record,
            limit=limit,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: sums over several depend on how many, and the bytes of a bundle must not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _as_policy(module: nn.Module, contract: Contract) -> Policy:
    def act(inputs: Mapping[str, npt.NDArray]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            actions = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in contract.inputs))
        return actions.numpy()

    return act
