"""What a layout of a foreign trainer is: how its directories are recognised, and its names against ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from components.core.errors import ContractError
from components.policy.foreign.files import Weights, open_weights, read_config
from components.policy.foreign.numbers import Forms
from components.policy.foreign.rules import Table, wildcards
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms


@dataclass(frozen=True)
class Directory:
    """A checkpoint of a foreign trainer; its files are read when they are asked for."""

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        return read_config(self.path)

    @cached_property
    def weights(self) -> Weights:
        return open_weights(self.path)

    def has(self, *names: str) -> bool:
        return all(name in self.weights for name in names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises `ContractError` for a tensor that is not there."""
        if name not in self.weights:
            raise ContractError(f"tensor {name} is missing, which says how large it is", where=str(self.path))
        return tuple(self.weights.meta()[name].shape)


@dataclass(frozen=True)
class Sizes:
    """What a checkpoint says of the robot that it was trained on; 0: it does not. `views`: cameras."""

    chunk: int
    state: int = 0
    action: int = 0
    views: int = 0


@dataclass(frozen=True)
class Target:
    """A policy of ours that weights go into or come from.

    `expected`: its tensors, on any device; `words`: the pieces of each of its words in the trainer's own tokenizer,
    None where that is not at hand.
    """

    config: PolicyConfig
    expected: Mapping[str, Tensor]
    words: tuple[tuple[int, ...], ...] | None = None

    def count(self, pattern: str) -> int:
        """How many modules there are of a list: what the first `*` of `pattern` stands for, plus one."""
        found = [values for name in self.expected if (values := wildcards(pattern, name)) is not None]
        return max((int(values[0]) + 1 for values in found), default=0)


@dataclass(frozen=True)
class Written:
    """JSON files by name, and tensors of files beside the weights, by name of file."""

    texts: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """`family`: of the presets that its weights fit (`components.policy.catalogue`); `source`: of its names.

    `table`: for a policy of ours; `beside`: files that are written beside the weights; `refusal`: why a checkpoint of
    this layout is another model than ours, "" where it is the same; `spells`: whether it reads words in pieces of a
    tokenizer; `apart`: prefixes of what has a file of its own. `writers`, `readers`: linear layers that write and read
    normalised actions, where the scaling of the actions may be carried over into them; `differs`: what is not the same
    here, in sentences.
    """

    name: str
    framework: str
    family: str
    source: str
    recognises: Callable[[Directory], bool]
    sizes: Callable[[Directory], Sizes]
    forms: Callable[[Directory], Forms]
    table: Callable[[Target], Table]
    beside: Callable[[nn.Module, PolicyConfig, PolicyTransforms], Written]
    refusal: Callable[[Directory], str] = lambda _: ""
    spells: bool = False
    apart: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
