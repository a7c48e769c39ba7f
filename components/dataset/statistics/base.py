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
    # Not the one that undoes it after the policy.
    "*_normalizer_processor.safetensors",
    "dataset_statistics.json",
    "meta/stats.json",
    "stats.json",
    "model.safetensors",
)
# What LeRobot called the statistics that were buffers of a policy, before 0.4.
_BUFFER_OWNERS, _BUFFER = ("normalize_inputs", "unnormalize_outputs"), "buffer_"
_BUFFERED = {STATE.replace(".", "_"): STATE, ACTION: ACTION}
# What OpenVLA calls them.
OPENVLA_NAMES = {"proprio": STATE, "action": ACTION}


def read_base(path: Path, member: str = "") -> BaseStats:
    """From a file, or a checkpoint folder that holds one.

    Reads openpi's norm_stats.json, LeRobot's stats.json and normaliser of a policy (.safetensors, also inside the
    weights), OpenVLA's dataset_statistics.json, and a policy bundle of ours, whose actions are known by their limits
    alone. `member`: which of several datasets. Raises `InputError` naming the file and what is wrong in it.
    """
    file = _found(path) if path.is_dir() else path
    if not file.is_file():
        raise InputError("no such file", where=str(file))
    if file.name in (TRANSFORMS_NAME, STATS_NAME):
        found = _bundle(file.parent)
    else:
        found = _safetensors(file) if file.suffix == ".safetensors" else _json(file, member)
    stats = {key: _checked(key, values, file) for key, values in found.items()}
    stats = {key: values for key, values in stats.items() if values}
    if not stats:
        raise InputError("no statistics in it", where=str(file), hint=_HINT)
    return stats


_HINT = "Give norm_stats.json, stats.json, dataset_statistics.json, a normaliser in .safetensors, or a policy bundle"


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


def _json(path: Path, member: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        value = read_json(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"not JSON: {error}", where=str(path), hint=_HINT) from error
    rename: Callable[[str], str] = str
    if isinstance(value, dict) and "norm_stats" in value:
        value, rename = value["norm_stats"], lambda name: OPENPI_NAMES.get(name, name)
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        raise InputError("not statistics by feature", where=str(path), hint=_HINT)
    if value and all(isinstance(part.get("action"), dict) for part in value.values()):
        return _openvla(value, member, path)
    return {rename(key): part for key, part in value.items()}


def _openvla(value: Mapping[str, Any], member: str, path: Path) -> Mapping[str, Mapping[str, Any]]:
    """One dataset of dataset_statistics.json. What its mask leaves as it is goes from -1 .. 1 to -1 .. 1."""
    chosen = member or next(iter(value))
    if chosen not in value or (len(value) > 1 and not member):
        found = f"no statistics of {member!r}" if member else f"statistics of {len(value)} datasets"
        raise InputError(found, where=str(path), hint=f"Name one of {', '.join(sorted(value)[:8])}")
    parts = {OPENVLA_NAMES[key]: dict(part) for key, part in value[chosen].items() if key in OPENVLA_NAMES}
    mask: list[bool] = parts[ACTION].get("mask") or []
    for name, end in (("q01", -1.0), ("q99", 1.0)) if mask else ():
        ends = parts[ACTION].get(name)
        if not isinstance(ends, list) or len(ends) != len(mask):
            raise InputError(f"{chosen}: mask and {name} of the actions differ in length", where=str(path))
        parts[ACTION][name] = [own if scaled else end for own, scaled in zip(ends, mask, strict=True)]
    return parts


def _safetensors(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """`feature.statistic` -> array, as LeRobot's normaliser is saved, or the buffers that they were before."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, dict[str, Any]] = {}
    try:
        # Weights may lie beside them: only what is a statistic is read.
        with safe_open(path, framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118, not a mapping
                key, _, stat = name.rpartition(".")
                if stat in _KEPT:
                    found.setdefault(_feature(key), {})[stat] = opened.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise InputError(f"not safetensors: {error}", where=str(path), hint=_HINT) from error
    return found


def _feature(key: str) -> str:
    owner, _, buffer = key.partition(f".{_BUFFER}")
    return _BUFFERED.get(buffer, buffer) if owner in _BUFFER_OWNERS else key


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
