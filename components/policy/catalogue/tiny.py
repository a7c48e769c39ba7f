from __future__ import annotations

from components.policy.catalogue.card import Card, Needs, Preset

CARD = Card(
    family="gripline-tiny",
    title="gripline-tiny",
    source="this project",
    vision="one CNN a camera, FiLM from the instruction",
    trunk="MLP over state, text and cameras",
    head="regression of the chunk, Huber loss",
    rate="20 Hz, the simulated cell's",
    page="tiny.md",
    # Below 32 pixels the maps of `vision.py` are too coarse to say where a thing is.
    presets=(Preset("gripline-tiny", "components.policy.tiny:TinyPolicy", Needs(image_px=32)),),
)
