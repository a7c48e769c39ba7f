"""The chain as files: transforms.json, stats.safetensors and tokenizer.json. The same chain gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from components.core.errors import ContractError
from components.core.files import read_json, write_bytes, write_json
from components.core.spec import embodiment_from_dict
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import PADDING_ID, UNKNOWN_ID, Normalise, WordTokens

TRANSFORMS_NAME = "transforms.json"
STATS_NAME = "stats.safetensors"
TOKENIZER_NAME = "tokenizer.json"
_VERSION = 1


def save_transforms(transforms: PolicyTransforms, folder: Path) -> None:
    """Writes the three files into `folder`."""
    state, tokens = transforms.state, transforms.tokens
    chain = {
        "version": _VERSION,
        "embodiment": transforms.embodiment.as_dict(),
        "inputs": ["resize_images", "camera_order", "normalise_state", "word_tokens"],
        "outputs": ["refuse_not_finite", "unit_clamp", "bounds", "clamp"],
        "state_epsilon": state.epsilon,
    }
    write_json(folder / TRANSFORMS_NAME, chain)
    stats = {"state_mean": np.asarray(state.mean, np.float64), "state_std": np.asarray(state.std, np.float64)}
    write_bytes(folder / STATS_NAME, save(stats))
    tokenizer = {
        "type": "words",
        "length": tokens.length,
        "overflow": tokens.overflow,
        "padding_id": PADDING_ID,
        "unknown_id": UNKNOWN_ID,
        "vocabulary": list(tokens.vocabulary),
    }
    write_json(folder / TOKENIZER_NAME, tokenizer)


def load_transforms(folder: Path) -> PolicyTransforms:
    """Raises `ContractError` naming the file that is missing, of another version, or does not fit."""
    chain = _json(folder / TRANSFORMS_NAME)
    if chain.get("version") != _VERSION:
        raise ContractError(
            f"version {chain.get('version')!r}, expected {_VERSION}", where=str(folder / TRANSFORMS_NAME)
        )
    stats, tokenizer = _stats(folder / STATS_NAME), _json(folder / TOKENIZER_NAME)
    found = (tokenizer.get("type"), tokenizer.get("padding_id"), tokenizer.get("unknown_id"))
    if found != ("words", PADDING_ID, UNKNOWN_ID):
        raise ContractError(f"an unknown kind of tokenizer {found}", where=str(folder / TOKENIZER_NAME))
    try:
        return PolicyTransforms(
            embodiment=embodiment_from_dict(chain["embodiment"]),
            state=Normalise(stats["state_mean"], stats["state_std"], chain["state_epsilon"]),
            tokens=WordTokens(tuple(tokenizer["vocabulary"]), tokenizer["length"], tokenizer["overflow"]),
        )
    except (KeyError, TypeError) as error:
        raise ContractError(f"{error} is missing or of the wrong type", where=str(folder)) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except FileNotFoundError as error:
        raise ContractError("no such file", where=str(path)) from error
    except ValueError as error:
        raise ContractError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise ContractError("not a JSON object", where=str(path))
    return value


def _stats(path: Path) -> dict[str, tuple[float, ...]]:
    try:
        arrays = load(path.read_bytes())
    except FileNotFoundError as error:
        raise ContractError("no such file", where=str(path)) from error
    except SafetensorError as error:
        raise ContractError(f"not safetensors: {error}", where=str(path)) from error
    return {name: tuple(float(value) for value in array) for name, array in arrays.items()}
