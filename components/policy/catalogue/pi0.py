from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

_NEEDS = Needs(image_px=32)

CARD = Card(
    family="pi0",
    title="π0",
    source="Black et al. 2024, arXiv 2410.24164",
    vision="SigLIP So400m/14, 256 tokens a camera",
    trunk="Gemma 2B, images and words see one another",
    head="action expert of 300 M over the trunk's keys and values, flow matching in 10 steps",
    rate="50 Hz",
    page="pi0.md",
    presets=(
        Preset("pi0", "components.policy.recipes.pi0:published", _NEEDS, kind="chunk_flow"),
        Preset("pi0-small", "components.policy.recipes.pi0:small", _NEEDS, kind="chunk_flow"),
    ),
    published=Published(
        parameters=3_300_000_000,
        source="Black et al. 2024, section IV: PaliGemma of 3 B and an action expert of 300 M",
        cameras=3,
        image_px=224,
        state=14,
        action=14,
        chunk=50,
        vocab_size=257_152,
        text_len=48,
    ),
)
