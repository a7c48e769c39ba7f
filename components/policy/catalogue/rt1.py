from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# The published code refuses images below a quarter of the 300 pixels that it looks at.
_NEEDS = Needs(image_px=75, state=False)

CARD = Card(
    family="rt1",
    title="RT-1",
    source="Brohan et al. 2022, arXiv 2212.06817",
    vision="EfficientNet, FiLM after every block, 8 tokens a view by TokenLearner",
    trunk="Transformer, causal over the views",
    head="256 bins a number, all numbers in one pass",
    rate="3 Hz (Everyday Robots)",
    page="rt1.md",
    presets=(
        Preset("rt1", "components.policy.recipes.rt1:published", _NEEDS, kind="parallel_bins"),
        Preset("rt1-small", "components.policy.recipes.rt1:small", Needs(image_px=32, state=False), "parallel_bins"),
    ),
    published=Published(
        parameters=35_000_000,
        source="arXiv 2212.06817, section 5.1: 16 M of vision, 34 K of TokenLearner, 19 M of Transformer",
        cameras=6,
        image_px=300,
        state=1,
        action=11,
        chunk=1,
        # The paper's is a sentence encoder of its own, trained elsewhere, which that section does not count.
        uncounted=("sentence.*",),
    ),
)
