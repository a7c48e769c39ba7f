"""Names of the tensors of π0 and π0.5 in other layouts, and how their weights become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from components.core.errors import ContractError

# What no other layout has: the fixed noise, and the words of the state, which the original writes with its digits.
OURS_ALONE = ("noise", "state.table.weight")


@dataclass(frozen=True)
class Layout:
    """A way to name the same tensors.

    `modules`: ours and theirs, names that end in a dot; `unread`: tensors of theirs that no action depends on;
    `twins`: names of theirs for a tensor that another one is tied to, of which a file may hold either.
    """

    name: str
    modules: tuple[tuple[str, str], ...]
    unread: tuple[str, ...] = ()
    twins: tuple[tuple[str, str], ...] = ()

    def theirs(self, ours: str) -> str:
        """The name there of a tensor of ours. Raises `ContractError` where there is none."""
        return _renamed(ours, self.modules, f"the layout {self.name} has no tensor for {ours}")

    def ours(self, theirs: str) -> str:
        """Inverse of `theirs`."""
        modules = tuple((there, here) for here, there in self.modules)
        return _renamed(dict(self.twins).get(theirs, theirs), modules, f"no module of ours has {theirs} of {self.name}")


# `PI0ForConditionalGeneration` of transformers 5.23.
TRANSFORMERS = Layout(
    "transformers",
    (
        ("tower.model.", "model.vlm.vision_tower."),
        ("connector.layers.0.", "model.vlm.multi_modal_projector.linear."),
        ("trunk.model.", "model.vlm.language_model."),
        ("head.expert.model.", "model.dit."),
        ("head.state_in.", "embed_action_time.state_proj."),
        ("head.action_in.", "embed_action_time.action_in_proj."),
        ("head.time_in.", "embed_action_time.action_time_mlp_in."),
        ("head.time_out.", "embed_action_time.action_time_mlp_out."),
        ("head.action_out.", "action_out_proj."),
    ),
    unread=("model.dit.embed_tokens.weight",),
)

_BOTH = (
    ("tower.model.", "paligemma_with_expert.paligemma.model.vision_tower.vision_model."),
    ("connector.layers.0.", "paligemma_with_expert.paligemma.model.multi_modal_projector.linear."),
    ("trunk.model.", "paligemma_with_expert.paligemma.model.language_model."),
    ("head.expert.model.", "paligemma_with_expert.gemma_expert.model."),
    ("head.action_in.", "action_in_proj."),
    ("head.action_out.", "action_out_proj."),
)
_UNREAD = ("paligemma_with_expert.gemma_expert.lm_head.weight",)
_TWINS = (
    (
        "paligemma_with_expert.paligemma.lm_head.weight",
        "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight",
    ),
)

# `PI0Pytorch` of openpi (models_pytorch/pi0_pytorch.py), and with pi05=True.
OPENPI_PI0 = Layout(
    "openpi π0",
    (
        *_BOTH,
        ("head.state_in.", "state_proj."),
        ("head.time_in.", "action_time_mlp_in."),
        ("head.time_out.", "action_time_mlp_out."),
    ),
    _UNREAD,
    _TWINS,
)
OPENPI_PI05 = Layout(
    "openpi π0.5",
    (*_BOTH, ("head.time_in.", "time_mlp_in."), ("head.time_out.", "time_mlp_out.")),
    _UNREAD,
    _TWINS,
)


def to_ours(state: Mapping[str, Tensor], layout: Layout, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names; `ours`: a state of the policy that they are for.

    Every tensor of both must have its counterpart, but for `OURS_ALONE` and what the layout calls unread. Raises
    `ContractError` naming the tensor that is missing, left over, of another shape, or unlike its twin.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in layout.unread:
            continue
        own = layout.ours(name)
        if own not in ours:
            raise ContractError(f"{name} of {layout.name} would be {own}, which this policy does not have")
        if tensor.shape != ours[own].shape:
            raise ContractError(
                f"{name} of {layout.name} is {list(tensor.shape)}, {own} is {list(ours[own].shape)}",
                hint="Build the policy with the sizes and the vocabulary of the checkpoint",
            )
        if own in found and not torch.equal(found[own], tensor):
            raise ContractError(f"{name} of {layout.name} differs from the tensor that it is tied to")
        found[own] = tensor
    missing = sorted(set(ours) - set(found) - set(OURS_ALONE))
    if missing:
        raise ContractError(f"the {layout.name} checkpoint lacks {layout.theirs(missing[0])} ({len(missing)} in all)")
    return found


def to_theirs(ours: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Inverse of `to_ours`, without what the layout calls unread."""
    return {layout.theirs(name): tensor for name, tensor in ours.items() if name not in OURS_ALONE}


def _renamed(name: str, modules: tuple[tuple[str, str], ...], otherwise: str) -> str:
    for before, after in modules:
        if name.startswith(before):
            return after + name[len(before) :]
    raise ContractError(otherwise)
