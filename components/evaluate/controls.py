"""The policies that the others are measured against: trained without images, without the instruction, or not at all."""

from __future__ import annotations

from pathlib import Path

from components.core.records import read_record

BLIND, WORDLESS, UNTRAINED = "blind", "wordless", "untrained"


def why_control(folder: Path) -> str:
    """Why the bundle in `folder` is a control, in words; empty for a policy that may serve."""
    attrs = read_record(folder, "bundle").attrs
    if folder.name == UNTRAINED:
        return "it is the untrained control"
    if attrs.get("blind"):
        return "it sees no images: it is the blind control"
    return "it is told nothing: it is the wordless control" if attrs.get("wordless") else ""
