"""A torch policy as one ONNX graph with a free batch axis. The same weights give the same bytes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from components.bundle.contract import Contract
from components.core.errors import ContractError
from components.export.graph import serialise

# With an example batch of 1 the exporter would take the axis for a constant.
EXAMPLE_BATCH = 2
_TALKATIVE = ("torch.onnx._internal.exporter._registration", "onnxscript.optimizer._constant_folding")


def to_onnx(module: nn.Module, contract: Contract, example: dict[str, npt.NDArray]) -> bytes:
    """The serialised graph. `example`: tensors of `PolicyTransforms.inputs` with a batch of at least 2."""
    tensors = tuple(torch.from_numpy(np.ascontiguousarray(example[name][:EXAMPLE_BATCH])) for name in contract.inputs)
    if len(tensors[0]) < EXAMPLE_BATCH:
        raise ContractError(f"an example batch of {len(tensors[0])} fixes the batch axis; {EXAMPLE_BATCH} are needed")
    batch = torch.export.Dim("batch")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tensors,
            dynamo=True,
            opset_version=contract.opset,
            input_names=list(contract.inputs),
            output_names=list(contract.outputs),
            dynamic_shapes=tuple({0: batch} for _ in tensors),
            verbose=False,
        )
    if program is None:
        raise ContractError("the exporter returned no graph")
    return serialise(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what the exporter says about itself: torchvision's absence, what it leaves as it is, deprecated calls."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec\\)`", category=FutureWarning)
            # Three inputs share one batch axis on purpose.
            warnings.filterwarnings("ignore", message="# The axis name: batch will not be used", category=UserWarning)
            # Folding evaluates both branches of a choice: T5's places have the logarithm of 0 in the one not taken.
            warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"onnx\.reference\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
