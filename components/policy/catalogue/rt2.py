from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# One patch of the small size is 16 pixels.
_NEEDS = Needs(image_px=32, state=False)

CARD = Card(
    family="rt2",
    title="RT-2",
    source="Brohan et al. 2023, arXiv 2307.15818",
    vision="one vision transformer",
    trunk="PaLM, causal",
    head="256 bins a number, one token after the other",
    rate="1 to 3 Hz (PaLI-X 55B), 5 Hz (PaLI-X 5B)",
    page="rt2.md",
    presets=(
        Preset("rt2", "components.policy.recipes.rt2:published", _NEEDS, "action_tokens"),
        Preset("rt2-small", "components.policy.recipes.rt2:small", _NEEDS, "action_tokens"),
    ),
    published=Published(
        parameters=12_530_000_000,
        source="RT-2-PaLM-E-12B: ViT-e 3.9 B (arXiv 2209.06794) and PaLM 8.63 B (arXiv 2204.02311), as each says",
        cameras=1,
        image_px=224,
        state=8,
        action=8,
        chunk=1,
    ),
)
