"""Does the dataset have what the preset looks at? Asked before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from components.core.errors import ContractError, DatasetError, ParamsError
from components.core.spec import Embodiment
from components.dataset.parts import Part
from components.policy.catalogue.card import Needs
from components.policy.presets import preset_of
from components.transforms.steps import split_words


def require_needs(preset: str, body: Embodiment, parts: Sequence[Part], unused: Sequence[str] = ()) -> Needs:
    """Raises `ContractError` naming the field of the embodiment, `DatasetError` naming the episode without words.

    `UsageError` for a preset that is not known; `ParamsError` where `unused` does not say what the preset leaves out of
    what is there, or names what it reads.
    """
    needs, seen = preset_of(preset).needs, body.observation
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
    reads = {"state": needs.state, "instructions": needs.instructions}
    if contradicted := [name for name in unused if reads[name]]:
        raise ParamsError(
            f"train.unused names {contradicted[0]}, which preset {preset} reads",
            hint="Take it out, or choose a preset that does without it",
        )
    if needs.instructions:
        for part in parts:
            _require_words(preset, part)
    silent = [name for name in reads if not reads[name] and name not in unused and _has(name, body, parts)]
    if silent:
        raise ParamsError(
            f"preset {preset} never reads {' and '.join(silent)}, which the dataset has",
            where=f"embodiment {body.name}",
            hint=f"Where that is meant, say so under train: `unused: [{', '.join([*unused, *silent])}]`",
        )
    return needs


def _has(modality: str, body: Embodiment, parts: Sequence[Part]) -> bool:
    if modality == "state":
        return len(body.observation.state_names) > 0
    return any(split_words(text or "") for part in parts for text in _instructions(part))


def _instructions(part: Part) -> list[str | None]:
    """Each instruction of its episodes once."""
    table = part.dataset.table(["instruction"]).take(part.rows)
    found: list[str | None] = pc.unique(table["instruction"]).to_pylist()
    return found


def _require_words(preset: str, part: Part) -> None:
    empty = [text for text in _instructions(part) if not split_words(text or "")]
    if not empty:
        return
    table = part.dataset.table(["episode_id", "source_uri", "instruction"]).take(part.rows)
    rows = [row for row in table.to_pylist() if row["instruction"] in empty]
    raise DatasetError(
        f"instruction is {rows[0]['instruction']!r} in episode {rows[0]['episode_id'][:12]} of {rows[0]['source_uri']}"
        f" (and {len(rows) - 1} more), preset {preset} needs words",
        where=str(part.dataset.root),
        hint="Give it one with a mapping or `annotations`, quarantine it with checks.min_instruction_words, "
        "or choose a preset without language",
    )
