"""The policy of a foreign trainer as a bundle: its own graph, judged by what its own runtime answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from components.bundle.contract import Contract
from components.bundle.write import GRAPH_NAME
from components.core.errors import BundleError, ContractError
from components.core.files import sha256_bytes
from components.core.records import Record
from components.core.spec import ActionSpec
from components.export.assemble import Bundled, assemble
from components.export.graph import serialise
from components.export.observations import Observations
from components.policy.external import SAMPLES_NAME, external_contract, read_declaration
from components.policy.external_samples import Samples, read_samples
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import Bounds

_PHYSICAL = "physical_actions"
_PREFIX = "gripline_"


def bundle_external(checkpoint: Path, target: Path, *, execute: int, record: Record, limit: float) -> Bundled:
    """One checkpoint folder of a foreign trainer -> one sealed bundle.

    Its graph answers in physical units and gets two nodes that bring them to [-1, 1] of the embodiment's limits, as
    every bundle has it. Raises `GateRefused` where onnxruntime differs from the samples by more than `limit` (physical
    units), `BundleError` for a graph that cannot be used.
    """
    transforms, declared = PolicyTransforms.load(checkpoint), read_declaration(checkpoint)
    model = _load(checkpoint / GRAPH_NAME)
    contract = external_contract(declared, transforms, execute=execute, opset=_opset(model))
    samples = read_samples(checkpoint / SAMPLES_NAME, contract)
    return assemble(
        target,
        unit_graph(model, contract),
        transforms,
        contract=contract,
        observations=_observations(samples, transforms),
        reference=Recorded(samples, contract),
        names=(declared.reference, "onnxruntime"),
        record=record,
        limit=limit,
    )


class Recorded:
    """A policy that can only repeat what a runtime once answered, in normalised actions."""

    def __init__(self, samples: Samples, contract: Contract) -> None:
        observed: tuple[npt.NDArray, ...] = (samples.images, samples.state, samples.tokens)
        inputs = dict(zip(contract.inputs, observed, strict=True))
        action = contract.embodiment.action
        answers = Bounds(action.low, action.high).apply(samples.actions)
        self._names = contract.inputs
        self._answers = dict(zip(self._keys(inputs), answers, strict=True))

    def __call__(self, inputs: Mapping[str, npt.NDArray]) -> npt.NDArray[np.float32]:
        """Raises `ContractError` for an observation that is none of the samples."""
        try:
            return np.stack([self._answers[key] for key in self._keys(inputs)])
        except KeyError as error:
            raise ContractError("an observation that is none of the samples") from error

    def _keys(self, inputs: Mapping[str, npt.NDArray]) -> list[str]:
        arrays = [np.ascontiguousarray(inputs[name]) for name in self._names]
        return [sha256_bytes(b"".join(array[row].tobytes() for array in arrays)) for row in range(len(arrays[0]))]


def unit_graph(model: onnx.ModelProto, contract: Contract) -> bytes:
    """Puts the way from physical units to [-1, 1] between what the graph computes and its output."""
    out, scale = contract.outputs[0], _scale(contract.embodiment.action)
    for node in model.graph.node:
        node.output[:] = [_PHYSICAL if name == out else name for name in node.output]
        node.input[:] = [_PHYSICAL if name == out else name for name in node.input]
    model.graph.initializer.extend(numpy_helper.from_array(value, _PREFIX + name) for name, value in scale.items())
    scaled = _PREFIX + "scaled"
    model.graph.node.extend(
        [
            helper.make_node("Mul", [_PHYSICAL, _PREFIX + "scale"], [scaled], name=scaled),
            helper.make_node("Add", [scaled, _PREFIX + "offset"], [out], name=_PREFIX + "unit"),
        ]
    )
    return serialise(model)


def _scale(action: ActionSpec) -> dict[str, npt.NDArray[np.float32]]:
    low, high = np.asarray(action.low, np.float64), np.asarray(action.high, np.float64)
    scale, offset = 2.0 / (high - low), -(high + low) / (high - low)
    return {"scale": scale.astype(np.float32), "offset": offset.astype(np.float32)}


def _observations(samples: Samples, transforms: PolicyTransforms) -> Observations:
    """The samples as a robot would have sent them; their words come back from the tokens."""
    cameras = transforms.embodiment.observation.cameras
    images = {camera: samples.images[:, place] for place, camera in enumerate(cameras)}
    return Observations(images, samples.state, tuple(transforms.tokens.inverse(samples.tokens)))


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises classes of its own
        raise BundleError(f"not an ONNX file: {error}", where=str(path)) from error
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BundleError(
                f"weight {tensor.name!r} lies in another file", where=str(path), hint="Save the graph as one file"
            )
    return model


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
