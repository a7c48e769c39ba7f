"""Policies: a fixed signature (images, state, tokens) -> action chunk, presets by name, checkpoints without pickle."""
