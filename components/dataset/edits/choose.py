"""Episodes by what people call them: number, id, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import DatasetError, UsageError
from components.dataset.parts import Part, part_of

# Shorter beginnings of an id are a slip of the hand.
_SHORTEST = 6


def full_ids(ids: pa.Array | pa.ChunkedArray, wanted: Iterable[str], *, where: str) -> list[str]:
    """The ids that are meant, each once, in the order given. Raises `DatasetError` naming one that is not there."""
    asked = list(dict.fromkeys(wanted))
    exact = pc.index_in(pa.array(asked, pa.string()), value_set=_flat(ids)).is_valid().to_pylist()
    return list(
        dict.fromkeys(
            name if known else _by_beginning(ids, name, where) for name, known in zip(asked, exact, strict=True)
        )
    )


def _by_beginning(ids: pa.Array | pa.ChunkedArray, name: str, where: str) -> str:
    found = ids.filter(pc.starts_with(ids, name)) if len(name) >= _SHORTEST else []
    if len(found) > 1:
        raise DatasetError(f"{len(found)} episodes begin with {name!r}", where=where, hint="Write more of the id")
    if not len(found):
        raise DatasetError(
            f"no episode {name!r}", where=where, hint=f"Give its id, or at least the first {_SHORTEST} characters of it"
        )
    return str(found[0].as_py())


def rows_by_id(ids: pa.Array | pa.ChunkedArray, wanted: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where in `ids` those of `wanted` are, in their order."""
    rows = pc.index_in(pa.array(wanted, pa.string()), value_set=_flat(ids))
    return rows.to_numpy(zero_copy_only=False).astype(np.int64)


def chosen_parts(parts: Sequence[Part], wanted: Sequence[str | int], *, where: str) -> list[Part]:
    """The parts reduced to the episodes wanted, by id or, of a single dataset, by number.

    Raises `DatasetError` naming what is not there.
    """
    numbers = [one for one in wanted if not isinstance(one, str)]
    names = [one for one in wanted if isinstance(one, str)]
    if numbers and len(parts) > 1:
        raise UsageError("episode numbers repeat between the members of a manifest", where=where, hint="Give ids")
    tables = [part.dataset.table(["episode_id"])["episode_id"] for part in parts]
    there = [np.isin(part.dataset.indices, part.indices) for part in parts]
    offered = [ids.filter(pa.array(mask)) for ids, mask in zip(tables, there, strict=True)]
    meant = pa.array(full_ids(pa.chunked_array(offered, pa.string()), names, where=where), pa.string())
    chosen = []
    for part, ids, mask in zip(parts, tables, there, strict=True):
        mask = mask & pc.is_in(ids, value_set=meant).to_numpy()
        taken = np.union1d(part.dataset.indices[mask], np.array(numbers, np.int64))
        if missing := set(numbers) - set(part.indices.tolist()):
            raise DatasetError(f"no episode {min(missing)}", where=where)
        if len(taken):
            chosen.append(part_of(part.dataset, taken, part.name))
    if not chosen:
        raise DatasetError("no episode is chosen", where=where)
    return chosen


def _flat(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
