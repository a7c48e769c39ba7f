"""Ways of making a policy act worse that no check of a bundle can see: each as ONNX nodes and again in numpy.

Both are pure functions of the observation, so that the degraded bundle has parity and a warm-up like any other.
Actions here are normalised float32 [B, H, A].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from components.bundle.contract import Contract
from components.core.errors import UsageError
from components.transforms.steps import Bounds

_PREFIX = "degrade_"
# A prime, so that equal steps in brightness do not come round to the same phase soon.
_CYCLE = 4093
_STATE_COUNTS = 1000.0
_STATE_COUNTS_MAX = 1e6
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
# Cycles from one horizon step to the next: few, or the errors of one chunk would cancel while the arm moves.
_DRIFT = 0.05


@dataclass(frozen=True)
class Nodes:
    """What is added to a graph."""

    nodes: list[onnx.NodeProto]
    constants: list[TensorProto]


@dataclass(frozen=True)
class ActionNoise:
    """Adds sigma * sqrt(2) * sin(phase) to the named action dimensions, an error with an RMS of `sigma`.

    The phase follows from the exact integer sums of the pixels and of the state in thousandths, so it jumps from one
    observation to the next and is the same on every machine; it differs per dimension and drifts along the horizon.
    """

    sigma: float = 0.7
    names: tuple[str, ...] = ("dx", "dy", "dz")

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "action_noise", **asdict(self), "names": list(self.names)}

    def apply(
        self, actions: npt.NDArray[np.float32], inputs: Mapping[str, npt.NDArray], contract: Contract
    ) -> npt.NDArray[np.float32]:
        amplitude, offsets = self._amplitude(contract), _offsets(contract)
        images, state = inputs[contract.inputs[0]], inputs[contract.inputs[1]]
        pixels = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64)
        counts = np.clip(np.floor(state * np.float32(_STATE_COUNTS)), -_STATE_COUNTS_MAX, _STATE_COUNTS_MAX)
        cycle = np.mod(pixels + counts.astype(np.int64).sum(axis=1), _CYCLE).astype(np.float32)
        phase = cycle[:, None, None] * np.float32(2.0 * math.pi / _CYCLE) + offsets
        return np.clip(actions, np.float32(-1), np.float32(1)) + amplitude * np.sin(phase)

    def nodes(self, clean: str, out: str, contract: Contract) -> Nodes:
        images, state = contract.inputs[0], contract.inputs[1]
        build = _Builder()
        pixels = build("ReduceSum", build("Cast", images, to=TensorProto.INT64), build.ints([1, 2, 3, 4]), keepdims=0)
        scaled = build("Floor", build("Mul", state, build.floats(_STATE_COUNTS)))
        cut = build("Clip", scaled, build.floats(-_STATE_COUNTS_MAX), build.floats(_STATE_COUNTS_MAX))
        counts = build("ReduceSum", build("Cast", cut, to=TensorProto.INT64), build.ints([1]), keepdims=0)
        cycle = build("Mod", build("Add", pixels, counts), build.ints(_CYCLE))
        angle = build("Mul", build("Cast", cycle, to=TensorProto.FLOAT), build.floats(2.0 * math.pi / _CYCLE))
        phase = build("Add", build("Unsqueeze", angle, build.ints([1, 2])), build.floats(_offsets(contract)))
        noise = build("Mul", build("Sin", phase), build.floats(self._amplitude(contract)))
        build("Add", build("Clip", clean, build.floats(-1.0), build.floats(1.0)), noise, out=out)
        return build.done()

    def _amplitude(self, contract: Contract) -> npt.NDArray[np.float32]:
        known = contract.embodiment.action.names
        for name in self.names:
            if name not in known:
                raise UsageError(f"no action dimension {name!r}", hint=f"Known: {', '.join(known)}")
        if not (math.isfinite(self.sigma) and self.sigma > 0 and self.names):
            raise UsageError(f"noise of sigma {self.sigma} on {list(self.names)} changes nothing")
        return np.array([math.sqrt(2.0) * self.sigma if name in self.names else 0.0 for name in known], np.float32)


@dataclass(frozen=True)
class ActionLag:
    """Every chunk comes `steps` control steps late; until then deltas are zero, absolute actions the first one."""

    steps: int

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "action_lag", **asdict(self)}

    def apply(
        self, actions: npt.NDArray[np.float32], inputs: Mapping[str, npt.NDArray], contract: Contract
    ) -> npt.NDArray[np.float32]:
        late = self._late(contract)
        return np.where(late & _deltas(contract), _standstill(contract), actions[:, self._from(contract)])

    def nodes(self, clean: str, out: str, contract: Contract) -> Nodes:
        stop = (self._late(contract) & _deltas(contract)).astype(np.float32)
        build = _Builder()
        shifted = build("Gather", clean, build.ints(self._from(contract)), axis=1)
        kept = build("Mul", shifted, build.floats(1.0 - stop))
        build("Add", kept, build.floats(stop * _standstill(contract)), out=out)
        return build.done()

    def _from(self, contract: Contract) -> npt.NDArray[np.int64]:
        if not 1 <= self.steps < contract.chunk:
            raise UsageError(f"a lag of {self.steps} steps, it must lie between 1 and {contract.chunk - 1}")
        return np.maximum(np.arange(contract.chunk) - self.steps, 0)

    def _late(self, contract: Contract) -> npt.NDArray[np.bool_]:
        return (np.arange(contract.chunk) < self.steps)[None, :, None]


Degradation = ActionNoise | ActionLag


class _Builder:
    """Collects nodes and constants; calling it adds a node and returns the name of its output."""

    def __init__(self) -> None:
        self._made = Nodes([], [])

    def __call__(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = f"{_PREFIX}{len(self._made.nodes)}_{op}"
        self._made.nodes.append(helper.make_node(op, list(inputs), [out or name], name=name, **attributes))
        return out or name

    def floats(self, value: float | npt.NDArray[np.floating]) -> str:
        return self._constant(np.asarray(value, dtype=np.float32))

    def ints(self, value: int | list[int] | npt.NDArray[np.integer]) -> str:
        return self._constant(np.asarray(value, dtype=np.int64))

    def done(self) -> Nodes:
        return self._made

    def _constant(self, value: npt.NDArray) -> str:
        name = f"{_PREFIX}constant_{len(self._made.constants)}"
        self._made.constants.append(numpy_helper.from_array(value, name))
        return name


def _offsets(contract: Contract) -> npt.NDArray[np.float32]:
    """[1, H, A] radians."""
    steps, dims = np.arange(contract.chunk)[:, None], np.arange(contract.embodiment.action.dim)[None, :]
    return (2.0 * math.pi * np.mod(_DRIFT * steps + _GOLDEN * (dims + 1), 1.0))[None].astype(np.float32)


def _deltas(contract: Contract) -> npt.NDArray[np.bool_]:
    """[A]: True where an action is a step from where the robot is, so that zero means standing still."""
    return np.array([g.representation == "step_delta" for g in contract.embodiment.action.groups for _ in g.names])


def _standstill(contract: Contract) -> npt.NDArray[np.float32]:
    """[A]: physical zero, normalised."""
    action = contract.embodiment.action
    return Bounds(action.low, action.high).apply(np.zeros(action.dim))
