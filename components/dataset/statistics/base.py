"""Statistics that a base checkpoint was trained with, from the files that trainers leave, in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError, InputError
from components.core.files import read_json
from components.dataset.layout import ACTION, STATE
from components.dataset.stats import STAT_NAMES
from components.transforms.quantiles import Quantiles
from components.transforms.store import STATS_NAME, TRANSFORMS_NAME, load_transforms

# Feature key -> some of min, max, mean, std and quantiles, float64 [D] each.
BaseStats = dict[str, dict[str, npt.NDArray[np.float64]]]

# What openpi calls the features of a dataset.
OPENPI_NAMES = {"state": STATE, "actions": ACTION}
_KEPT = tuple(name for name in STAT_NAMES if name != "count")
# Where trainers leave them below a checkpoint; the first pattern that one file matches counts.
_PLACES = (
    TRANSFORMS_NAME,
    "norm_stats.json",
    "assets/**/norm_stats.json",
    "*normalizer_processor.safetensors",
    "meta/stats.json",
    "stats.json",
)


def read_base(path: Path) -> BaseStats:
    """From a file, or a checkpoint folder that holds one.

    Reads openpi's norm_stats.json, LeRobot's stats.json and normaliser of a policy (.safetensors), and a policy bundle
    of ours, whose actions are known by their limits alone. Raises `InputError` naming the file and what is wrong in it.
    """
    file = _found(path) if path.is_dir() else path
    if not file.is_file():
        raise InputError("no such file", where=str(file))
    if file.name in (TRANSFORMS_NAME, STATS_NAME):
        found = _bundle(file.parent)
    else:
        found = _safetensors(file) if file.suffix == ".safetensors" else _json(file)
    stats = {key: _checked(key, values, file) for key, values in found.items()}
    stats = {key: values for key, values in stats.items() if values}
    if not stats:
        raise InputError("no statistics in it", where=str(file), hint=_HINT)
    return stats


_HINT = "Give norm_stats.json, stats.json, a normaliser in .safetensors, or a policy bundle"


def _found(folder: Path) -> Path:
    for pattern in _PLACES:
        files = sorted(folder.glob(pattern))
        if len(files) > 1:
            names = ", ".join(file.relative_to(folder).as_posix() for file in files[:3])
            raise InputError(f"several statistics: {names}", where=str(folder), hint="Give one of these files")
        if files:
            return files[0]
    raise InputError("no statistics below it", where=str(folder), hint=_HINT)


def _bundle(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        transforms = load_transforms(folder)
    except ContractError as error:
        raise InputError(error.message, where=error.where, hint=error.hint) from error
    state, scaled, limits = transforms.state, transforms.actions, transforms.embodiment.action
    return {
        STATE: {"q01": state.low, "q99": state.high}
        if isinstance(state, Quantiles)
        else {"mean": state.mean, "std": state.std},
        ACTION: {"min": limits.low, "max": limits.high}
        | ({} if scaled is None else {"q01": scaled.low, "q99": scaled.high}),
    }


def _json(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        value = read_json(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"not JSON: {error}", where=str(path), hint=_HINT) from error
    rename: Callable[[str], str] = str
    if isinstance(value, dict) and "norm_stats" in value:
        value, rename = value["norm_stats"], lambda name: OPENPI_NAMES.get(name, name)
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        raise InputError("not statistics by feature", where=str(path), hint=_HINT)
    return {rename(key): part for key, part in value.items()}


def _safetensors(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """`feature.statistic` -> array, as LeRobot's normaliser is saved."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
    except SafetensorError as error:
        raise InputError(f"not safetensors: {error}", where=str(path), hint=_HINT) from error
    found: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        key, _, stat = name.rpartition(".")
        found.setdefault(key, {})[stat] = array
    return found


def _checked(key: str, values: Mapping[str, Any], path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Those that are there; all of one width, and none of them NaN."""
    found = {}
    for name in _KEPT:
        if values.get(name) is None:
            continue
        try:
            found[name] = np.asarray(values[name], np.float64).ravel()
        except (TypeError, ValueError) as error:
            raise InputError(f"{key}: {name} is no list of numbers", where=str(path)) from error
        if not np.isfinite(found[name]).all():
            raise InputError(f"{key}: {name} holds NaN or infinity", where=str(path))
    if len({len(array) for array in found.values()}) > 1:
        widths = ", ".join(f"{name} {len(array)}" for name, array in found.items())
        raise InputError(f"{key}: different widths: {widths}", where=str(path))
    if "std" in found and (found["std"] < 0).any():
        raise InputError(f"{key}: std is below 0", where=str(path))
    return found
