from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# Below 32 pixels the maps of a ResNet are too coarse to say where a thing is.
_NEEDS = Needs(image_px=32, instructions=False)

CARD = Card(
    family="act",
    title="ACT",
    source="Zhao et al. 2023, arXiv 2304.13705",
    vision="ResNet-18, shared by the cameras",
    trunk="Transformer encoder-decoder, CVAE latent",
    head="L1 regression of the chunk",
    rate="50 Hz (ALOHA)",
    page="act.md",
    presets=(
        Preset("act", "components.policy.act.policy:published", _NEEDS),
        Preset("act-small", "components.policy.act.policy:small", _NEEDS),
    ),
    published=Published(
        parameters=51_600_000,
        source="LeRobot 0.4.4, ACTPolicy with its defaults",
        cameras=2,
        image_px=224,
        state=14,
        action=14,
        chunk=50,
    ),
)
