from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# One patch of the small size is 16 pixels.
_NEEDS = Needs(image_px=32, state=False)

CARD = Card(
    family="openvla",
    title="OpenVLA",
    source="Kim et al. 2024, arXiv 2406.09246",
    vision="DINOv2 and SigLIP, features side by side",
    trunk="Llama-2, causal",
    head="256 bins a number, one token after the other",
    rate="6 Hz (bfloat16, RTX 4090)",
    page="openvla.md",
    presets=(
        Preset("openvla", "components.policy.recipes.openvla:published", _NEEDS, "action_tokens"),
        Preset("openvla-small", "components.policy.recipes.openvla:small", _NEEDS, "action_tokens"),
    ),
    published=Published(
        parameters=7_541_237_184,
        source="openvla/openvla-7b on Hugging Face, all tensors of its files",
        cameras=1,
        image_px=224,
        state=8,
        action=7,
        chunk=1,
    ),
)
