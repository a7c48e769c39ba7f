"""Named manifests of one dataset, so that nothing that is alike lies in two of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.core.errors import UsageError
from components.core.files import fsync, replace_dir
from components.dataset.edits.gather import fill_manifest, require_absent, rows_of
from components.dataset.frames import ROW_COLUMNS
from components.dataset.manifest import Manifest, require_name
from components.dataset.parts import Part, part_of, parts_of
from components.dataset.splits import Candidate, deal, group_of

# What episodes can be kept together by.
GROUPS = ("task", "instruction", *ROW_COLUMNS)
_HEAD = ("episode_id", "pixel_sha256", "task", "frames_sha256")
_SEEDS_TRIED = 100
# Beyond this many episodes no share of a sensible size is empty.
_FEW = 10_000


def split(
    path: Path,
    shares: Mapping[str, float],
    out: Path,
    *,
    by: Sequence[str] = (),
    seed: int = 1,
    at: Mapping[str, Path] | None = None,
) -> dict[str, Manifest]:
    """Manifests `out/<name>`, one for each share; every episode of `path` is in exactly one.

    Episodes of one id, with equal pixels or equal numbers, or that agree in all columns of `by`, stay together. A
    seeded hash decides, so that adding episodes later moves none. Raises `UsageError` for shares that do not add up to
    1, an unknown column, or a share that gets no episode.
    """
    _require_shares(shares)
    _require_columns(by)
    require_absent(out)
    parts = parts_of(path, at)
    candidates = [candidate for part in parts for candidate in _candidates(part, by)]
    sides = deal(candidates, shares, seed=seed)
    _require_all_filled(candidates, shares, sides, seed)
    manifests = {}
    with replace_dir(out) as folder:
        for name in sorted(shares):
            (folder / name).mkdir()
            params = {"split": {"name": name, "shares": dict(sorted(shares.items())), "by": list(by), "seed": seed}}
            chosen = [part for part in (_side(part, sides, name) for part in parts) if part is not None]
            made = fill_manifest(chosen, folder / name, home=out / name, params=params)
            manifests[name] = Manifest(out / name, made.digest, made.members, made.totals, made.files)
            fsync(folder / name)
    return manifests


def _candidates(part: Part, by: Sequence[str]) -> list[Candidate]:
    table = rows_of(part, _HEAD)
    groups = (group_of(row, by) for row in rows_of(part, by).to_pylist()) if by else repeat("")
    columns = (table[name].to_pylist() for name in _HEAD)
    return [
        Candidate(episode_id, pixels, task, group, frames)
        for episode_id, pixels, task, frames, group in zip(*columns, groups, strict=False)
    ]


def _side(part: Part, sides: Mapping[str, str], name: str) -> Part | None:
    rows = rows_of(part, ["episode_index", "episode_id"])
    mine = pa.array([sides[episode_id] == name for episode_id in rows["episode_id"].to_pylist()])
    numbers = rows["episode_index"].filter(mine).to_numpy()
    return part_of(part.dataset, numbers.astype(np.int64), part.name) if len(numbers) else None


def _require_shares(shares: Mapping[str, float]) -> None:
    for name, share in shares.items():
        require_name(name)
        if not 0 < share <= 1:
            raise UsageError(f"the share of {name!r} is {share:g}, expected more than 0 and at most 1")
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9):
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UsageError(f"the shares add up to {sum(shares.values()):g}, expected 1: {told}")


def _require_columns(by: Sequence[str]) -> None:
    if unknown := [name for name in by if name not in GROUPS]:
        raise UsageError(f"cannot group by {unknown[0]!r}", hint=f"There are {', '.join(GROUPS)}")


def _require_all_filled(
    candidates: Sequence[Candidate], shares: Mapping[str, float], sides: Mapping[str, str], seed: int
) -> None:
    empty = sorted(set(shares) - set(sides.values()))
    if not empty:
        return
    found = Counter(sides.values())
    told = ", ".join(f"{name} {found[name]}" for name in sorted(shares))
    raise UsageError(f"{empty[0]!r} gets no episode ({told})", hint=_other_seed(candidates, shares, seed))


def _other_seed(candidates: Sequence[Candidate], shares: Mapping[str, float], seed: int) -> str:
    few = candidates if len(candidates) <= _FEW else ()
    for other in range(seed + 1, seed + 1 + _SEEDS_TRIED):
        if few and set(deal(few, shares, seed=other).values()) == set(shares):
            return f"The episodes fall into few groups; with seed {other} each share gets some"
    return "The episodes fall into too few groups: group by fewer columns, or change the shares"
