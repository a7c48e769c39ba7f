"""One trunk under the policies of several robots: what is at the edges is each robot's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from components.core.errors import ContractError
from components.core.spec import Embodiment
from components.policy.adapters import Adapters, adapters_of
from components.policy.presets import PolicyConfig

Batch = dict[str, Tensor]

# What is as wide as a robot's actions.
_ACTIONS = ("actions", "teacher")


@dataclass(frozen=True)
class Place:
    """Where the numbers of one robot lie in a padded batch: its `cameras` among all, and how wide it is."""

    cameras: tuple[int, ...]
    state: int
    action: int


class Bodies(nn.Module):
    """An ordinary policy for each of `configs`, in their order; all they can share are the very same modules.

    The first is built first, from the same random numbers as alone. What `Adapters` calls an edge, and a camera that no
    robot before has, is a policy's own; so each of them is saved, exported and served like any other. Padding inside a
    batch, adapters at the edges: as HPT (Wang et al. 2024) and GR00T N1 (2025) train many robots at once.
    """

    def __init__(self, configs: Sequence[PolicyConfig]) -> None:
        super().__init__()
        self.names = tuple(config.embodiment.name for config in configs)
        self.cameras = all_cameras([config.embodiment for config in configs])
        self.places = tuple(_place(config.embodiment, self.cameras) for config in configs)
        policies = [config.build() for config in configs]
        adapters = adapters_of(policies[0], configs[0].preset)
        for number, policy in enumerate(policies):
            for earlier in policies[:number]:
                share(earlier, policy, adapters)
        self.policies = nn.ModuleList(policies)
        self.aliases = _aliases(self)
        self.register_state_dict_post_hook(_once)
        self.register_load_state_dict_pre_hook(_under_every_name)

    def groups(self, batch: Batch) -> Iterator[tuple[str, nn.Module, Batch]]:
        """Name, policy and rows of each robot that a padded batch holds, without their padding.

        `batch` as for one robot, but images [B, K, ...] by `cameras`, state [B, S] and actions [B, H, A] of the widest
        robot, and body int64 [B]: which of the robots a row is of. Other tensors are cut by rows; see `_ACTIONS`.
        """
        for number, (name, policy, place) in enumerate(zip(self.names, self.policies, self.places, strict=True)):
            rows = (batch["body"] == number).nonzero().flatten()
            if len(rows):
                part = {key: values[rows] for key, values in batch.items() if key != "body"}
                part["images"] = part["images"][:, list(place.cameras)]
                part["state"] = part["state"][:, : place.state]
                part |= {key: part[key][..., : place.action] for key in _ACTIONS if key in part}
                yield name, policy, part

    def untouched(self, batch: Batch) -> Tensor:
        """0, with a gradient of 0 for the robots that a batch lacks.

        So every weight has a gradient in every step, as processes that train together need.
        """
        absent = set(range(len(self.names))) - set(batch["body"].tolist())
        sums = [weight.sum() for number in sorted(absent) for weight in self.policies[number].parameters()]
        return 0.0 * torch.stack(sums).sum() if sums else torch.zeros(())


def groups_of(policy: nn.Module, batch: Batch) -> Iterator[tuple[str, nn.Module, Batch]]:
    """`Bodies.groups`, or the policy of a single robot with its batch as it is, under the name ""."""
    yield from policy.groups(batch) if isinstance(policy, Bodies) else [("", policy, batch)]


def names_of(policy: nn.Module) -> tuple[str, ...]:
    """The names that `groups_of` may give, in order."""
    return policy.names if isinstance(policy, Bodies) else ("",)


def all_cameras(bodies: Sequence[Embodiment]) -> tuple[str, ...]:
    """The names of all cameras, in the order in which they first come."""
    return tuple(dict.fromkeys(camera for body in bodies for camera in body.observation.cameras))


def share(source: nn.Module, target: nn.Module, adapters: Adapters, prefix: str = "") -> None:
    """Puts the trunk of `source` in the place of that of `target`; what `source` lacks stays.

    Raises `ContractError` for a tensor of the trunk that has another shape in the two.
    """
    for name, child in list(target.named_children()):
        full, other = f"{prefix}{name}", source._modules.get(name)
        if other is None or adapters.edge_of(full) or not child.state_dict():
            continue
        if _alike(other, child) and not _has_edge(child, adapters, full):
            target._modules[name] = other
        else:
            share(other, child, adapters, f"{full}.")
    for tensors, others in ((target._parameters, source._parameters), (target._buffers, source._buffers)):
        for name, tensor in list(tensors.items()):
            found = others.get(name)
            if tensor is None or found is None or adapters.edge_of(f"{prefix}{name}"):
                continue
            if found.shape != tensor.shape:
                raise ContractError(
                    f"tensor {prefix}{name} of the trunk is {list(found.shape)} and {list(tensor.shape)}",
                    hint="Its preset calls trunk what differs between these robots",
                )
            tensors[name] = found


def _place(body: Embodiment, cameras: Sequence[str]) -> Place:
    seen = body.observation
    return Place(tuple(map(cameras.index, seen.cameras)), len(seen.state_names), body.action.dim)


def _alike(one: nn.Module, other: nn.Module) -> bool:
    return _shapes(one) == _shapes(other)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _has_edge(module: nn.Module, adapters: Adapters, prefix: str) -> bool:
    names = [*module.state_dict(), *(name for name, _ in module.named_modules() if name)]
    return any(adapters.edge_of(f"{prefix}.{name}") for name in names)


def _aliases(bodies: Bodies) -> dict[str, str]:
    """Name of a shared tensor in a later policy -> its name in the first that has it."""
    first: dict[int, str] = {}
    found = {}
    tensors = [*bodies.named_parameters(remove_duplicate=False), *bodies.named_buffers(remove_duplicate=False)]
    for name, tensor in tensors:
        known = first.setdefault(id(tensor), name)
        if known != name:
            found[name] = known
    return found


def _once(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Takes shared tensors out of a state under their later names: files of tensors hold each of them once."""
    assert isinstance(module, Bodies)
    for name in module.aliases:
        state.pop(prefix + name, None)


def _under_every_name(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Inverse of `_once`."""
    assert isinstance(module, Bodies)
    for name, known in module.aliases.items():
        if prefix + known in state:
            state.setdefault(prefix + name, state[prefix + known])
