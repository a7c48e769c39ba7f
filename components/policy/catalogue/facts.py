"""What is known of a preset: what its card says, and what building it without any numbers shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from torch import nn

from components.policy.action_heads.flow import convention_of
from components.policy.catalogue.card import Card
from components.policy.catalogue.families import CARDS
from components.policy.catalogue.published import build_on_meta, count, shape_counted
from components.policy.presets import preset_of
from components.policy.pretrained import parts_with_models

Facts = dict[str, Any]


def facts_of(name: str) -> Facts:
    """One preset. Raises `UsageError` for a name that is not known.

    "parameters": as its publication counts them, for the robot under "counted_for"; "by_part": all of them, by module;
    "takes_weights": parts that `train.pretrained` may name, and the model of transformers in each.
    """
    preset, card = preset_of(name), card_of(name)
    shape = shape_counted(card, name)
    policy, published = build_on_meta(name, shape), _published(card, name)
    return {
        "preset": name,
        "family": card.family,
        "parameters": count(policy, published.pop("uncounted", ())),
        "counted_for": {
            "cameras": shape.views,
            "image_px": shape.image_px,
            "state": shape.state_dim,
            "action": shape.action_dim,
            "chunk": shape.chunk,
        },
        "published": published or None,
        "by_part": _by_part(policy),
        "takes_weights": {part: type(model).__name__ for part, model in parts_with_models(policy).items()},
        "needs": asdict(preset.needs),
        "kind": preset.kind,
        "flow_convention": convention_of(policy),
        "learning_rate": preset.learning_rate,
    }


def families() -> list[Facts]:
    """The catalogue, each family with its presets."""
    return [
        {
            "family": card.family,
            "title": card.title,
            "source": card.source,
            "vision": card.vision,
            "trunk": card.trunk,
            "head": card.head,
            "rate": card.rate,
            "page": card.page,
            "presets": [facts_of(preset.name) for preset in card.presets],
        }
        for card in CARDS
    ]


def card_of(name: str) -> Card:
    """The card of a preset that is known."""
    return next(card for card in CARDS if any(preset.name == name for preset in card.presets))


def _by_part(policy: nn.Module) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, weight in policy.named_parameters():
        found[name.partition(".")[0]] += weight.numel()
    return dict(found)


def _published(card: Card, name: str) -> dict[str, Any]:
    if card.published is None or name != card.presets[0].name:
        return {}
    said = card.published
    unbuilt = dict(said.unbuilt)
    return {"parameters": said.parameters, "source": said.source, "uncounted": said.uncounted, "unbuilt": unbuilt}
