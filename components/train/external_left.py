"""What a foreign trainer left behind, looked through before it is taken over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.bundle.contract import Contract
from components.bundle.session import PolicySession
from components.bundle.weights import require_finite_weights
from components.bundle.write import GRAPH_NAME
from components.core.errors import ContractError, RecordError
from components.core.files import read_lines, write_json
from components.dataset.layout import ACTION, STATE
from components.dataset.statistics.base import read_base
from components.dataset.statistics.merging import running_of_parts
from components.policy.external import (
    CHECKPOINT_FOLDER,
    DECLARATION_NAME,
    SAMPLES_NAME,
    STATISTICS_NAME,
    Declaration,
    external_contract,
    plain_transforms,
    read_declaration,
)
from components.policy.external_samples import Samples, read_samples
from components.train.base import Base, base_of
from components.train.inputs import Inputs

# Two decoders upsample and round colours in ways of their own, which means over blocks do not show; another camera or
# order of channels they do.
_BLOCK = 8
_LEVELS_OFF_MAX = 4.0


def take_over(out: Path, folder: Path, inputs: Inputs, *, seed: int) -> tuple[Declaration, str]:
    """Looks through all of `out` and copies what belongs to the checkpoint into `folder`.

    Returns the declaration and how the statistics compare with the data. Raises `RecordError`, `ContractError`,
    `BundleError` or `InputError` naming the file and the field; nothing is written then.
    """
    declared = read_declaration(out)
    _require_own(declared, inputs, seed, out)
    checkpoint = _checkpoint(out, declared)
    transforms = plain_transforms(inputs.transforms)
    contract = external_contract(declared, transforms, execute=1, opset=1)
    _require_graph(out, contract)
    _require_recorded(read_samples(out / SAMPLES_NAME, contract), inputs, out / SAMPLES_NAME)
    base = _statistics(out, inputs)
    metrics = _metrics(out, declared)
    shutil.copytree(checkpoint, folder / CHECKPOINT_FOLDER)
    for name in (GRAPH_NAME, SAMPLES_NAME, STATISTICS_NAME):
        shutil.copyfile(out / name, folder / name)
    kept = {"checkpoint": CHECKPOINT_FOLDER, "metrics_file": "metrics.jsonl" if metrics else ""}
    write_json(folder / DECLARATION_NAME, declared.model_dump(mode="json") | kept)
    if metrics:
        shutil.copyfile(metrics, folder / "metrics.jsonl")
    base.write_report(folder)
    transforms.save(folder)
    return declared, base.comparison.verdict


def validations(folder: Path, declared: Declaration) -> list[dict[str, float]]:
    """{"step", "loss", "val_loss"} of the lines of metrics.jsonl that hold all three; the declared ones come last."""
    names = ("step", "loss", "val_loss")
    rows = [{name: line[name] for name in names} for line in _lines(folder) if line.keys() >= set(names)]
    last = {"step": declared.steps, **{name: declared.metrics[name] for name in names[1:]}}
    return [*(row for row in rows if row["step"] < declared.steps), last]


def _lines(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "metrics.jsonl")


def _require_own(declared: Declaration, inputs: Inputs, seed: int, out: Path) -> None:
    told = {"seed": seed, "dataset": inputs.digests["dataset"]}
    for name, expected in told.items():
        found = getattr(declared, name)
        if found != expected:
            raise RecordError(f"{name} is {found!r}, expected {expected!r}", where=str(out / DECLARATION_NAME))


def _checkpoint(out: Path, declared: Declaration) -> Path:
    where = str(out / DECLARATION_NAME)
    folder = _inside(out, declared.checkpoint, "checkpoint")
    if folder == out.resolve() or not folder.is_dir() or not any(path.is_file() for path in folder.rglob("*")):
        raise RecordError(f"checkpoint: {declared.checkpoint} is no folder of {{out}} with files", where=where)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            name = path.relative_to(folder).as_posix()
            raise RecordError(f"checkpoint: {name} is a link", where=where, hint="Leave the file itself")
    return folder


def _inside(out: Path, name: str, field: str) -> Path:
    path = (out / name).resolve()
    if not path.is_relative_to(out.resolve()):
        raise RecordError(f"{field}: {name} lies outside of {{out}}", where=str(out / DECLARATION_NAME))
    return path


def _require_graph(out: Path, contract: Contract) -> None:
    path = out / GRAPH_NAME
    if not path.is_file():
        raise RecordError(f"no {GRAPH_NAME}", where=str(out), hint="A trainer leaves its policy as a graph")
    require_finite_weights(path)
    PolicySession(path, contract)


def _require_recorded(samples: Samples, inputs: Inputs, path: Path) -> None:
    """Raises `ContractError` for the first sample that is no frame of an accepted held-out episode."""
    (part,) = inputs.val.parts
    words = dict(zip(part.indices.tolist(), inputs.val.table(["instruction"])["instruction"], strict=True))
    cameras = inputs.transforms.embodiment.observation.cameras
    for index in np.unique(samples.episode_index).tolist():
        if index not in words:
            raise ContractError(f"episode_index {index} is none of val_episodes", where=str(path))
        rows = np.flatnonzero(samples.episode_index == index)
        state, frames = part.dataset.frames(index, [STATE])[STATE], samples.frame_index[rows]
        for row, frame in zip(rows, frames, strict=True):
            if not 0 <= frame < len(state):
                raise ContractError(f"sample {row}: episode {index} has no frame {frame}", where=str(path))
            if not np.array_equal(state[frame], samples.state[row]):
                raise ContractError(f"sample {row}: state is not that of frame {frame}", where=str(path))
            if not np.array_equal(inputs.transforms.tokens.apply([words[index]])[0], samples.tokens[row]):
                raise ContractError(f"sample {row}: tokens are not those of episode {index}", where=str(path))
        for place, camera in enumerate(cameras):
            seen = part.dataset.images(index, camera)[frames]
            off = np.abs(_coarse(seen) - _coarse(samples.images[rows, place])).mean(axis=(1, 2, 3))
            if (off > _LEVELS_OFF_MAX).any():
                row = rows[int(off.argmax())]
                raise ContractError(
                    f"sample {row}: the image of {camera} differs from frame {samples.frame_index[row]} of episode "
                    f"{index} by {off.max():.0f} levels on average",
                    where=str(path),
                    hint=f"Images are RGB in the order {', '.join(cameras)}",
                )


def _coarse(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """[N, px, px, 3] -> means over blocks of `_BLOCK` pixels; what is left over at the edges does not count."""
    count, px = len(images), images.shape[1] // _BLOCK * _BLOCK
    blocks = images[:, :px, :px].reshape(count, px // _BLOCK, _BLOCK, px // _BLOCK, _BLOCK, 3)
    return blocks.mean(axis=(2, 4), dtype=np.float64)


def _statistics(out: Path, inputs: Inputs) -> Base:
    """The statistics that it normalised by, compared with those of the training episodes."""
    stats, body = read_base(out / STATISTICS_NAME), inputs.transforms.embodiment
    names = {STATE: body.observation.state_names, ACTION: body.action.names}
    for key, dimensions in names.items():
        if key not in stats:
            raise ContractError(f"no statistics of {key}", where=str(out / STATISTICS_NAME))
        width = len(next(iter(stats[key].values())))
        if width != len(dimensions):
            raise ContractError(
                f"{key} has {width} dimensions, {body.name} has {len(dimensions)}", where=str(out / STATISTICS_NAME)
            )
    own = {key: stats[key] for key in names}
    return base_of(own, running_of_parts(inputs.train.parts, [STATE, ACTION]), names)


def _metrics(out: Path, declared: Declaration) -> Path | None:
    if not declared.metrics_file:
        return None
    path = _inside(out, declared.metrics_file, "metrics_file")
    where = f"{path}: " if path.is_file() else ""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    except (OSError, ValueError) as error:
        raise RecordError(f"metrics_file: {error}", where=str(out / DECLARATION_NAME)) from error
    for number, line in enumerate(lines, start=1):
        numbers = isinstance(line, dict) and all(isinstance(value, int | float) for value in line.values())
        if not numbers or not isinstance(line.get("step"), int):
            raise RecordError(f"{where}line {number} is no object of numbers with a whole step", where=str(out))
    return path
