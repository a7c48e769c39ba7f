from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

_NEEDS = Needs(image_px=32)

CARD = Card(
    family="smolvla",
    title="SmolVLA",
    source="Shukor et al. 2025, arXiv 2506.01844",
    vision="SigLIP, pixel shuffle",
    trunk="the first half of SmolLM2, with the state as a token",
    head="narrow expert that crosses and joins the trunk's attention in turn, flow matching in 10 steps",
    rate="30 Hz (SO-100)",
    page="smolvla.md",
    presets=(
        Preset("smolvla", "components.policy.recipes.smolvla:published", _NEEDS),
        Preset("smolvla-small", "components.policy.recipes.smolvla:small", _NEEDS),
    ),
    published=Published(
        parameters=450_000_000,
        source="Shukor et al. 2025, section 4.3: 450 M, about 100 M of them the expert",
        cameras=3,
        image_px=512,
        state=32,
        action=32,
        chunk=50,
        vocab_size=49_280,
        unbuilt=(
            ("output layer over the vocabulary, which no action needs", 49_280 * 960),
            # Its queries, output and feed-forward layers, the norm between them, and the model's last norm.
            ("what follows the keys of the last layer, which no action needs", 2 * 960**2 + 3 * 960 * 2560 + 2 * 960),
        ),
    ),
)
