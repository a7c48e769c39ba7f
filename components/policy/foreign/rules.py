"""Names of tensors of one framework against ours, as tables that are read in both directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

Tensors = list[Tensor]


class How:
    """How the tensors of a rule become one another; as they are, unless a subclass says otherwise."""

    def ours(self, theirs: Tensors) -> Tensors:
        return theirs

    def theirs(self, ours: Tensors) -> Tensors:
        return ours


AS_IS = How()


@dataclass(frozen=True)
class Stacked(How):
    """One of theirs holds `parts` of ours, one below the other: q, k and v in one matrix."""

    parts: int = 3

    def ours(self, theirs: Tensors) -> Tensors:
        return list(theirs[0].tensor_split(self.parts))

    def theirs(self, ours: Tensors) -> Tensors:
        return [torch.cat(ours)]


@dataclass(frozen=True)
class Ones(How):
    """Theirs has axes of size 1, in ascending order, that ours lacks: a convolution over single pixels, a batch."""

    axes: tuple[int, ...]

    def ours(self, theirs: Tensors) -> Tensors:
        return [theirs[0].squeeze(self.axes)]

    def theirs(self, ours: Tensors) -> Tensors:
        made = ours[0]
        for axis in self.axes:
            made = made.unsqueeze(axis)
        return [made]


@dataclass(frozen=True)
class WordRows(How):
    """A table of words there, of pieces of words, becomes one of whole words here.

    `pieces`: of each of our words, by number; its row is the mean of theirs, and of no pieces their first row. `rows`:
    how many ours has; where theirs has as many, all others stay where they are (the ids of actions are among them).
    """

    pieces: tuple[tuple[int, ...], ...]
    rows: int

    def ours(self, theirs: Tensors) -> Tensors:
        table = theirs[0]
        made = table[: self.rows].clone()
        for row, pieces in enumerate(self.pieces):
            made[row] = table[list(pieces or (0,))].float().mean(0).to(table.dtype)
        return [made]


@dataclass(frozen=True)
class ClassPlace(How):
    """(class token [1, 1, D], places [1, N, D]) there; here the class token has a place too, [1, 1 + N, D].

    What is learnt at that place is part of the class token there (timm, `no_embed_class`).
    """

    def ours(self, theirs: Tensors) -> Tensors:
        token, places = theirs
        return [token, torch.cat([torch.zeros_like(token), places], 1)]

    def theirs(self, ours: Tensors) -> Tensors:
        token, places = ours
        return [token + places[:, :1], places[:, 1:]]


@dataclass(frozen=True)
class Rule:
    """`theirs`, `ours`: names in which `*` is any part between two dots, or of one, and `**` also with dots in it.

    What they stand for is the same on both sides, in order.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    how: How = AS_IS


@dataclass(frozen=True)
class LeftOut:
    """What a file holds and is not taken, and why. `ours`: of which tensor or buffer it is made on the way out."""

    theirs: str
    why: str
    ours: str = ""
    how: How = AS_IS


@dataclass(frozen=True)
class Fresh:
    """What our policy holds and no file does, and why; it stays as it was drawn."""

    ours: str
    why: str


@dataclass(frozen=True)
class Table:
    rules: tuple[Rule, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    fresh: tuple[Fresh, ...] = ()

    def __add__(self, other: Table) -> Table:
        return Table(self.rules + other.rules, self.left_out + other.left_out, self.fresh + other.fresh)


def one(theirs: str, ours: str, how: How | None = None) -> Rule:
    """The rule of one tensor there and one here."""
    return Rule((theirs,), (ours,), how or AS_IS)


def same(theirs: str, ours: str, names: Sequence[str]) -> tuple[Rule, ...]:
    """`names` below a prefix there are the same names below one here."""
    return tuple(one(f"{theirs}{name}", f"{ours}{name}") for name in names)


def wildcards(pattern: str, name: str) -> tuple[str, ...] | None:
    """What the `*` of `pattern` stand for in `name`, None where it is another name."""
    found = _compiled(pattern).fullmatch(name)
    return None if found is None else found.groups()


def filled(pattern: str, values: Sequence[str]) -> str:
    """Inverse of `wildcards`."""
    given = iter(values)
    return re.sub(r"\*\*?", lambda _: next(given), pattern)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*\*", "(.+)").replace(r"\*", r"([^.]+)"))
