from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# One patch of the small size is 16 pixels.
_NEEDS = Needs(image_px=32)

# OpenVLA's 7,541,237,184 without its output layer of 32,064 x 4096, which this head never reads; with the L1 head and
# the state projector of the published code.
_OPENVLA, _OUTPUT_LAYER = 7_541_237_184, 32_064 * 4096
_L1_HEAD, _STATE_PROJECTOR = 151_117_831, 16_818_176

CARD = Card(
    family="oft",
    title="OpenVLA-OFT",
    source="Kim et al. 2025, arXiv 2502.19645",
    vision="DINOv2 and SigLIP, features side by side",
    trunk="Llama-2, every token sees every other",
    head="all actions of the chunk in one pass, L1",
    rate="25 Hz (ALOHA)",
    page="oft.md",
    presets=(
        Preset("oft", "components.policy.recipes.oft:published", _NEEDS),
        Preset("oft-plus", "components.policy.recipes.oft:published_plus", _NEEDS),
        Preset("oft-plus-small", "components.policy.recipes.oft:small_plus", _NEEDS),
        Preset("oft-small", "components.policy.recipes.oft:small", _NEEDS),
    ),
    published=Published(
        parameters=_OPENVLA - _OUTPUT_LAYER + _L1_HEAD + _STATE_PROJECTOR,
        source="openvla/openvla-7b less its output layer, with the L1 head and state projector of moojink/openvla-oft",
        cameras=2,
        image_px=224,
        state=8,
        action=7,
        chunk=8,
    ),
)
