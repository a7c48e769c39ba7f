"""The graph of a bundle in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.bundle.contract import Contract
from components.core.errors import BundleError

_ERRORS_ONLY = 3


class PolicySession:
    """One graph on the CPU. `threads`: how many a call uses; they sleep between calls instead of spinning."""

    def __init__(self, path: Path, contract: Contract, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        # Spinning threads take the cores that the simulator or the camera driver needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each reason, all below Exception
            raise BundleError(f"onnxruntime cannot load it: {error}", where=str(path)) from error
        self._output = contract.outputs[0]
        self._check(contract, path)

    def run(self, inputs: Mapping[str, npt.NDArray]) -> npt.NDArray[np.float32]:
        """The tensors of `PolicyTransforms.inputs` -> normalised actions float32 [B, H, A]."""
        return self._session.run([self._output], dict(inputs))[0]

    def _check(self, contract: Contract, path: Path) -> None:
        found = {node.name: node for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        expected = contract.shapes()
        if names := sorted(found.keys() ^ expected.keys()):
            raise BundleError(f"tensor {names[0]!r} is in only one of graph and contract", where=str(path))
        for name, (kind, shape) in expected.items():
            node = found[name]
            if node.type != kind or tuple(node.shape[1:]) != shape:
                raise BundleError(
                    f"tensor {name!r} is {node.type} {node.shape}, the contract says {kind} {['batch', *shape]}",
                    where=str(path),
                )
            if isinstance(node.shape[0], int):
                raise BundleError(f"tensor {name!r} has a fixed batch of {node.shape[0]}", where=str(path))
