"""The weights of one policy in another of the same preset, whatever robot, cameras, words or chunk either has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from components.core.spec import Embodiment
from components.policy.adapters import Adapters


@dataclass
class TakenOver:
    """What became of every tensor, by its name; nothing is left unsaid.

    `taken`: shape; `rows`: [how many leading rows are the base's, of how many]; `copied`: the tensor of another camera
    of the base that a new one begins from; `fresh`: shape, and why it was drawn anew; `left_over`: shape of what the
    base has and this policy has no place for.
    """

    taken: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)
    copied: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    left_over: dict[str, list[int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        counts = (f"{len(values)} {name.replace('_', ' ')}" for name, values in self.as_dict().items())
        return ", ".join(counts)


def take_over(
    module: nn.Module, body: Embodiment, base: Mapping[str, Tensor], base_body: Embodiment, adapters: Adapters
) -> TakenOver:
    """Writes the tensors of `base` into `module`, in place, by these rules in turn.

    An edge is taken where both robots have the same state, or the same actions; a camera the base does not know begins
    as a copy of its first one; a tensor of the same name and shape is taken; of `Adapters.rows` the leading rows are;
    all else stays as it was drawn.
    """
    report, used = TakenOver(), set()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            edge = adapters.edge_of(name)
            if edge and _edge(edge, body) != _edge(edge, base_body):
                report.fresh[name] = f"{list(tensor.shape)}: the {edge} of {body.name} is not that of {base_body.name}"
                continue
            source = name if name in base else _other_camera(name, base, adapters)
            if source not in base:
                report.fresh[name] = f"{list(tensor.shape)}: the base has none"
            elif _fill(tensor, base[source], name, source, report, adapters):
                used.add(source)
    report.left_over = {name: list(tensor.shape) for name, tensor in base.items() if name not in used}
    return report


def _fill(tensor: Tensor, found: Tensor, name: str, source: str, report: TakenOver, adapters: Adapters) -> bool:
    if tensor.shape == found.shape:
        tensor.copy_(found)
        if source == name:
            report.taken[name] = list(tensor.shape)
        else:
            report.copied[name] = source
        return True
    if name in adapters.rows and tensor.shape[1:] == found.shape[1:]:
        count = min(len(tensor), len(found))
        tensor[:count] = found[:count]
        report.rows[name] = [count, len(tensor)]
        return True
    report.fresh[name] = f"{list(tensor.shape)}: {list(found.shape)} in the base"
    return False


def _other_camera(name: str, base: Mapping[str, Tensor], adapters: Adapters) -> str:
    """The tensor of the base's first camera in the place of one that it does not know; `name` where there is none."""
    camera = adapters.camera_of(name)
    for candidate in base if camera else ():
        known = adapters.camera_of(candidate)
        if known and candidate == name.replace(f".{camera}.", f".{known}."):
            return candidate
    return name


def _edge(edge: str, body: Embodiment) -> list[Any]:
    """What must be the same in two robots for the numbers at an edge to mean the same."""
    if edge == "state":
        return [(group.names, group.units, group.rotation) for group in body.observation.state]
    return [
        (g.names, g.units, g.frame, g.representation, g.rotation, g.low, g.high) for g in body.action.groups
    ]  # fmt: skip
