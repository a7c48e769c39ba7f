"""Lists of names and shapes of published checkpoints, in a short spelling."""

from __future__ import annotations

import itertools
import re
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[1] / "unit/components/policy/foreign/names"
_CHOICE = re.compile(r"\{([^}]*)\}")


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    found = {}
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if not line.startswith("#"):
            pattern, *sizes = line.split()
            found |= dict.fromkeys(spelled_out(pattern), tuple(map(int, sizes)))
    return found


def spelled_out(pattern: str) -> list[str]:
    """`a.{0..2}.{b,c}` to all that it stands for."""
    pieces = _CHOICE.split(pattern)
    choices = [_choices(piece) if at % 2 else [piece] for at, piece in enumerate(pieces)]
    return ["".join(one) for one in itertools.product(*choices)]


def _choices(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    return [str(number) for number in range(int(first), int(last) + 1)] if dots else text.split(",")


def count(name: str) -> int:
    return sum(prod(shape) for shape in shapes(name).values())


def on_meta(name: str) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes(name).items()}


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
