"""One manifest of several datasets and manifests; no frame is copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import UsageError
from components.dataset.edits.gather import ids_held_out, require_absent, write_manifest
from components.dataset.manifest import Manifest
from components.dataset.members import Elsewhere
from components.dataset.parts import Part, part_of, parts_of


@dataclass(frozen=True)
class Merged:
    """`doubles`: name of a part -> its episodes that an earlier part has already."""

    manifest: Manifest
    doubles: dict[str, int]


def merge(sources: Sequence[Path | tuple[str, Path]], out: Path, *, at: Mapping[str, Path] | None = None) -> Merged:
    """Makes `out` a manifest of all episodes of the sources, each episode once: the first source that has it counts.

    `sources`: datasets and manifests, each alone or as (name, path); `at`: see `parts_of`. Members may be of different
    embodiments. A recording that any source holds out is held out in all of them, see `write_manifest`. Raises
    `UsageError` where `out` is there or a name stands for a manifest of several members.
    """
    require_absent(out)
    parts: list[Part] = []
    for source in sources:
        name, path = ("", source) if isinstance(source, Path) else source
        found = parts_of(path, at)
        if name and len(found) > 1:
            raise UsageError(f"{name!r} cannot name {len(found)} members", where=str(path), hint="Give the path alone")
        parts += [Part(one.dataset, one.indices, name or one.name) for one in found]
    unique, doubles = without_doubles(together(parts))
    params = {"merge": [part.name for part in unique]}
    return Merged(write_manifest(unique, out, params=params, on_val=ids_held_out(parts)), doubles)


def together(parts: Sequence[Part]) -> list[Part]:
    """Parts of one and the same tree become one; the order is that of their first mention.

    Not where the tree is not on this machine: each manifest knows only the episodes that it chose.
    """
    same: dict[tuple[str, str], list[Part]] = {}
    for number, part in enumerate(parts):
        dataset = part.dataset
        place = f"elsewhere {number}" if isinstance(dataset, Elsewhere) else str(dataset.root.resolve())
        same.setdefault((dataset.digest, place), []).append(part)
    return [
        few[0] if len(few) == 1 else part_of(few[0].dataset, np.concatenate([p.indices for p in few]), few[0].name)
        for few in same.values()
    ]


def without_doubles(parts: Sequence[Part]) -> tuple[list[Part], dict[str, int]]:
    """Leaves each episode to the first part that has it; also says how many each part lost by that."""
    seen: list[pa.Array] = []
    kept, doubles = [], {}
    for part in parts:
        ids = part.dataset.table(["episode_id"])["episode_id"]
        mine = np.isin(part.dataset.indices, part.indices)
        known = pc.is_in(ids, value_set=pa.concat_arrays([pa.array([], ids.type), *seen])).to_numpy()
        if lost := int((mine & known).sum()):
            doubles[part.name] = lost
        fresh = mine & ~known
        seen += ids.filter(pa.array(fresh)).chunks
        if fresh.all():
            kept.append(part)
        elif fresh.any():
            kept.append(part_of(part.dataset, part.dataset.indices[fresh], part.name))
    return kept, doubles
