from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

_NEEDS = Needs(image_px=32)
_STATE, _ACTION, _ROBOTS = 64, 32, 32
# Encoder of the state, encoder and decoder of actions: 1024 and 1536 wide.
_STATE_EDGE = (_STATE + 1) * 1024 + 1025 * 1536
_ACTION_EDGE = (_ACTION + 1) * 1536 + 3073 * 1536 + 1537 * 1536 + 1025 * 1024 + 1025 * _ACTION

CARD = Card(
    family="gr00t",
    title="GR00T N1",
    source="NVIDIA 2025, arXiv 2503.14734",
    vision="SigLIP-2, pixel shuffle",
    trunk="SmolLM2 up to a middle layer, causal",
    head="diffusion transformer with cross-attention, flow matching in 4 steps",
    rate="120 Hz actions, 10 Hz observations (GR-1)",
    page="gr00t.md",
    presets=(
        Preset("gr00t", "components.policy.recipes.gr00t:published", _NEEDS),
        Preset("gr00t-small", "components.policy.recipes.gr00t:small", _NEEDS),
    ),
    published=Published(
        parameters=2_200_000_000,
        source="NVIDIA 2025, section 2.1: 2.2 B, 1.34 B of them the vision-language model; with layers of 32 robots",
        cameras=1,
        image_px=224,
        state=_STATE,
        action=_ACTION,
        chunk=16,
        vocab_size=49_164,
        unbuilt=(("state and action layers of 31 more robots", (_ROBOTS - 1) * (_STATE_EDGE + _ACTION_EDGE)),),
    ),
)
