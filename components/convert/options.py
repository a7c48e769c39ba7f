"""What a person chooses about the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from components.convert.pictures import Coding
from components.convert.plan import Group, Names

Item = TypeVar("Item")
# Called with the number of frames of each episode that is written.
Done = Callable[[int], None]


@dataclass(frozen=True)
class Options:
    """`pictures`: for formats that encode each; `per_file`: episodes of a file, where it may hold several."""

    pictures: Coding = "png"
    per_file: int = 100


class Writer(Protocol):
    """A module that writes a format: `write` puts the files of a group into a folder and says which they are."""

    NAMES: Names

    def write(self, folder: Path, group: Group, options: Options, done: Done) -> list[Path]: ...


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
