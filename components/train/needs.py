"""Does the dataset have what the preset looks at? Asked before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc

from components.core.errors import ContractError, DatasetError
from components.core.spec import Embodiment
from components.dataset.parts import Part
from components.policy.presets import Needs, needs_of
from components.transforms.steps import split_words


def require_needs(preset: str, body: Embodiment, parts: Iterable[Part]) -> Needs:
    """Raises `ContractError` naming the field of the embodiment, `DatasetError` naming the episode without words.

    `UsageError` for a preset that is not known.
    """
    needs, seen = needs_of(preset), body.observation
    found = {
        "observation.cameras": (len(seen.cameras), needs.cameras),
        "observation.image_px": (seen.image_px, needs.image_px),
        "observation.state": (len(seen.state_names), int(needs.state)),
    }
    for field, (has, least) in found.items():
        if has < least:
            raise ContractError(
                f"{field} is {has}, preset {preset} needs at least {least}",
                where=f"embodiment {body.name}",
                hint="Choose another train.preset, or ingest with an embodiment that has it",
            )
    if needs.instructions:
        for part in parts:
            _require_words(preset, part)
    return needs


def _require_words(preset: str, part: Part) -> None:
    table = part.dataset.table(["episode_id", "source_uri", "instruction"]).take(part.rows)
    empty = [text for text in pc.unique(table["instruction"]).to_pylist() if not split_words(text or "")]
    if not empty:
        return
    rows = [row for row in table.to_pylist() if row["instruction"] in empty]
    raise DatasetError(
        f"instruction is {rows[0]['instruction']!r} in episode {rows[0]['episode_id'][:12]} of {rows[0]['source_uri']}"
        f" (and {len(rows) - 1} more), preset {preset} needs words",
        where=str(part.dataset.root),
        hint="Give it one with a mapping or `annotations`, quarantine it with checks.min_instruction_words, "
        "or choose a preset without language",
    )
