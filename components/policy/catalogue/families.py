"""All architectures, by family and by preset. Loads no torch."""

from __future__ import annotations

from components.policy.catalogue import (
    act,
    diffusion,
    gr00t,
    hpt,
    octo,
    oft,
    openvla,
    pi0,
    pi05,
    rt1,
    rt2,
    smolvla,
    tiny,
)
from components.policy.catalogue.card import Card, Preset

CARDS: tuple[Card, ...] = (
    tiny.CARD,
    act.CARD,
    diffusion.CARD,
    rt1.CARD,
    openvla.CARD,
    rt2.CARD,
    oft.CARD,
    octo.CARD,
    pi0.CARD,
    pi05.CARD,
    smolvla.CARD,
    gr00t.CARD,
    hpt.CARD,
)
PRESETS: dict[str, Preset] = {preset.name: preset for card in CARDS for preset in card.presets}
