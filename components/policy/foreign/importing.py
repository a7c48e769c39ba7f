"""A checkpoint of a foreign trainer as a policy of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from components.core.errors import ContractError
from components.core.spec import Embodiment
from components.policy.catalogue.families import CARDS
from components.policy.foreign.catalogue import recognise
from components.policy.foreign.layout import Directory, Layout, Sizes, Target
from components.policy.foreign.numbers import ACTION, STATE, Forms, Stats, folded, scaling
from components.policy.foreign.rules import Table
from components.policy.foreign.translate import Report, to_ours
from components.policy.foreign.words import pieces
from components.policy.presets import PolicyConfig, preset_of
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import WordTokens


@dataclass(frozen=True)
class Plan:
    """What an import would do, known from the headers of the files alone.

    `spelled`: whether the words of the dataset are told in pieces of the trainer's own tokenizer.
    """

    folder: Directory
    layout: Layout
    config: PolicyConfig
    forms: Forms
    table: Table
    report: Report
    spelled: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "layout": self.layout.name,
            "names_from": self.layout.source,
            "preset": self.config.preset,
            "embodiment": self.config.embodiment.name,
            "chunk": self.config.chunk,
            "normalised_by": {"state": self.forms.state, "actions": self.forms.action},
            **self.report.as_dict(),
        }


@dataclass(frozen=True)
class Brought:
    """`notes`: what is not the same here, in sentences."""

    policy: nn.Module
    transforms: PolicyTransforms
    notes: tuple[str, ...]


def plan(folder: Directory, preset: str, body: Embodiment, tokens: WordTokens) -> Plan:
    """Raises `ContractError` where preset, layout and embodiment do not belong together; the tensors are not judged."""
    layout = recognise(folder)
    family = family_of(preset)
    if family != layout.family:
        raise ContractError(
            f"a checkpoint of {layout.name}, which is of the family {layout.family}; {preset} is {family}",
            where=str(folder.path),
            hint=f"Presets that it may fit: {', '.join(presets_of(layout.family)) or 'none yet'}",
        )
    if why := layout.refusal(folder):
        raise ContractError(f"{preset} is another model: {why}", where=str(folder.path))
    sizes = layout.sizes(folder)
    _require_body(sizes, body, str(folder.path))
    config = PolicyConfig(preset, body, tokens.vocab_size, tokens.length, sizes.chunk)
    with torch.device("meta"):
        expected = config.build().state_dict()
    target = Target(config, {name: tensor.to("meta") for name, tensor in expected.items()}, pieces(folder, tokens))
    table = layout.table(target)
    _, report = to_ours(folder.weights.meta(), target.expected, table)
    return Plan(folder, layout, config, layout.forms(folder), table, report, target.words is not None)


def bring(made: Plan, tokens: WordTokens, stats: Stats) -> Brought:
    """The policy with the weights in it, and transforms by `stats`, the statistics that it was trained with.

    Raises `ContractError` where the tensors do not all fit, or the statistics are not what the layout normalises by.
    """
    made.report.require_fit(str(made.folder.path))
    layout, config, body = made.layout, made.config, made.config.embodiment
    state = scaling(stats, STATE, made.forms.state, len(body.observation.state_names))
    action = scaling(stats, ACTION, made.forms.action, body.action.dim)
    policy = config.build()
    weights, _ = to_ours(made.folder.weights, policy.state_dict(), made.table)
    notes, bounds = [*layout.differs], None
    if layout.writers:
        weights = folded(weights, layout.writers, layout.readers, action, body)
        notes.append("the scaling of the actions is carried over into the layers that write and read them")
    elif made.forms.action == "mean_std":
        notes.append(
            "its actions were scaled by mean and deviation, ours are a range: its answers are wrong until it is trained"
        )
    else:
        bounds = action.bounds(body)
    if layout.spells and not made.spelled:
        notes.append("no tokenizer.json beside it: words have no vectors of theirs and have to be learnt")
    policy.load_state_dict({name: tensor.to(torch.float32) for name, tensor in weights.items()}, strict=False)
    return Brought(policy.eval(), PolicyTransforms(body, state.state(), tokens, bounds), tuple(notes))


def family_of(preset: str) -> str:
    """Raises `UsageError` for a preset that is not known."""
    preset_of(preset)
    return next(card.family for card in CARDS for one in card.presets if one.name == preset)


def presets_of(family: str) -> list[str]:
    return [one.name for card in CARDS if card.family == family for one in card.presets]


def _require_body(sizes: Sizes, body: Embodiment, where: str) -> None:
    expected = {"state": len(body.observation.state_names), "action": body.action.dim}
    for name, width in expected.items():
        found = getattr(sizes, name)
        if found and found != width:
            raise ContractError(
                f"{name} has {found} numbers in the checkpoint, {body.name} has {width}",
                where=where,
                hint="Give the embodiment that it was trained on; train.start_from then carries it to another",
            )
    if sizes.views and sizes.views != len(body.observation.cameras):
        raise ContractError(
            f"{sizes.views} cameras in the checkpoint, {body.name} has {len(body.observation.cameras)}",
            where=where,
            hint="Give the embodiment that it was trained on",
        )


def described(folder: Directory, layout: Layout) -> dict[str, Any]:
    """What a directory is, in plain values."""
    sizes, forms = layout.sizes(folder), layout.forms(folder)
    value = {
        "layout": layout.name,
        "names from": layout.source,
        "presets": presets_of(layout.family),
        "tensors": len(folder.weights),
        "parameters": sum(tensor.numel() for tensor in folder.weights.meta().values()),
        "chunk": sizes.chunk,
        "state": sizes.state,
        "action": sizes.action,
        "cameras": sizes.views,
        "normalised by": [f"state {forms.state}", f"actions {forms.action}"],
    }
    if why := layout.refusal(folder):
        value["cannot be imported"] = why
    return value
