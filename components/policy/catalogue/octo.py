from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

_NEEDS = Needs(image_px=32, state=False)
_KIND = "chunk_diffusion"

CARD = Card(
    family="octo",
    title="Octo",
    source="Octo Model Team 2024, arXiv 2405.12213",
    vision="a stem of four convolutions a camera, no pretraining",
    trunk="ViT-B, block-wise mask, a readout that no token reads; instruction through T5-base",
    head="diffusion MLP on the readout, 20 steps",
    rate="13 Hz on an RTX 4090, 17 Hz the 27 M size (its README)",
    page="octo.md",
    presets=(
        Preset("octo", "components.policy.recipes.octo:published", _NEEDS, kind=_KIND),
        Preset("octo-27m", "components.policy.recipes.octo:published_small", _NEEDS, kind=_KIND),
        Preset("octo-small", "components.policy.recipes.octo:small", _NEEDS, kind=_KIND),
    ),
    # Octo-Base, a workspace and a wrist camera. T5 is not among the published 93 M: it is frozen, and 110 M by itself.
    published=Published(
        parameters=93_000_000,
        source="README of octo-models/octo, Octo-Base",
        cameras=2,
        image_px=256,
        state=7,
        action=7,
        chunk=4,
        uncounted=("words.encoder.*",),
    ),
)
