from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset, Published

# Below 64 pixels the maps of a ResNet have one place, and a keypoint cannot be anywhere else.
_NEEDS = Needs(image_px=64, instructions=False)

CARD = Card(
    family="diffusion",
    title="Diffusion Policy",
    source="Chi et al. 2023, arXiv 2303.04137",
    vision="one ResNet-18 a camera, group norm, keypoints by spatial softmax",
    trunk="none: state and keypoints go to the head",
    head="1-D U-Net with FiLM, DDPM of 100 times, DDIM of 10 steps",
    rate="10 Hz (real-world Push-T)",
    page="diffusion.md",
    presets=(
        Preset("diffusion", "components.policy.recipes.diffusion:published", _NEEDS, kind="chunk_diffusion"),
        Preset("diffusion-small", "components.policy.recipes.diffusion:small", _NEEDS, kind="chunk_diffusion"),
    ),
    # Of two frames of observation; with one, as here, FiLM reads 66 numbers fewer: 260,816,674.
    published=Published(
        parameters=262_709_026,
        source="LeRobot's DiffusionPolicy on Push-T, as its training script counts",
        cameras=1,
        image_px=96,
        state=2,
        action=2,
        chunk=16,
    ),
)
