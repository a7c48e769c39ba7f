from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

_NEEDS = Needs(image_px=32)

CARD = Card(
    family="pi05",
    title="π0.5",
    source="Physical Intelligence 2025, arXiv 2504.16054",
    vision="SigLIP So400m/14, 256 tokens a camera",
    trunk="Gemma 2B; images, words and the state in words see one another",
    head="action expert of 300 M with the time in its norms, flow matching in 10 steps",
    rate="50 Hz",
    page="pi05.md",
    presets=(
        Preset("pi05", "components.policy.recipes.pi05:published", _NEEDS, kind="chunk_flow"),
        Preset("pi05-small", "components.policy.recipes.pi05:small", _NEEDS, kind="chunk_flow"),
    ),
    published=Published(
        parameters=3_300_000_000,
        source="openpi: gemma_2b and gemma_300m, as in π0, whose 3.3 B it is",
        cameras=3,
        image_px=224,
        state=8,
        action=8,
        chunk=50,
        vocab_size=257_152,
        text_len=200,
    ),
)
