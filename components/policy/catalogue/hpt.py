from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# Below 32 pixels the maps of a ResNet are too coarse to say where a thing is.
_NEEDS = Needs(image_px=32)

CARD = Card(
    family="hpt",
    title="HPT",
    source="Wang et al. 2024, arXiv 2409.20537",
    vision="ResNet-18, read into 16 tokens a robot",
    trunk="Transformer, shared by robots; stems and heads are each robot's",
    head="regression of the chunk from the mean token, Huber loss; or a mixture of Gaussians",
    rate="not reported",
    page="hpt.md",
    presets=(
        Preset("hpt", "components.policy.recipes.hpt:published", _NEEDS),
        Preset("hpt-gmm-small", "components.policy.recipes.hpt:small_mixture", _NEEDS),
        Preset("hpt-small", "components.policy.recipes.hpt:small", _NEEDS),
    ),
    published=Published(
        parameters=226_800_000,
        source="README of liruiw/HPT, HPT-XLarge: the trunk, which is all that its checkpoints hold",
        cameras=2,
        image_px=224,
        state=7,
        action=7,
        chunk=8,
        uncounted=("tower.*", "connector.*", "state.*", "words.*", "head.*"),
    ),
)
