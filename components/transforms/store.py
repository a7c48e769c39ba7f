"""The chain as files: transforms.json, stats.safetensors and tokenizer.json. The same chain gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from components.core.errors import ContractError
from components.core.files import read_json, write_bytes, write_json
from components.core.spec import embodiment_from_dict
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles
from components.transforms.steps import PADDING_ID, UNKNOWN_ID, Bounds, Normalise, WordTokens

TRANSFORMS_NAME = "transforms.json"
STATS_NAME = "stats.safetensors"
TOKENIZER_NAME = "tokenizer.json"
# A chain that older readers cannot run has the second version: they refuse it rather than scale wrongly.
_VERSION, _QUANTILES_VERSION = 1, 2
_STATE_FORMS, _ACTION_FORMS = ("mean_std", "q01_q99"), ("limits", "q01_q99")


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
    forms = {"state": _STATE_FORMS[isinstance(state, Quantiles)], "actions": _ACTION_FORMS[bool(transforms.actions)]}
    if "q01_q99" in forms.values():
        chain |= {"version": _QUANTILES_VERSION, "normalise": forms}
    write_json(folder / TRANSFORMS_NAME, chain)
    write_bytes(folder / STATS_NAME, save(_arrays(transforms)))
    tokenizer = {
        "type": "words",
        "length": tokens.length,
        "overflow": tokens.overflow,
        "padding_id": PADDING_ID,
        "unknown_id": UNKNOWN_ID,
        "vocabulary": list(tokens.vocabulary),
    }
    if tokens.wordless:
        tokenizer["wordless"] = True
    write_json(folder / TOKENIZER_NAME, tokenizer)


def load_transforms(folder: Path) -> PolicyTransforms:
    """Raises `ContractError` naming the file that is missing, of another version, or does not fit."""
    chain = _json(folder / TRANSFORMS_NAME)
    if chain.get("version") not in (_VERSION, _QUANTILES_VERSION):
        raise ContractError(
            f"version {chain.get('version')!r}, expected {_VERSION} or {_QUANTILES_VERSION}",
            where=str(folder / TRANSFORMS_NAME),
        )
    state_form, action_form = _forms(chain, folder / TRANSFORMS_NAME)
    stats, tokenizer = _stats(folder / STATS_NAME), _json(folder / TOKENIZER_NAME)
    found = (tokenizer.get("type"), tokenizer.get("padding_id"), tokenizer.get("unknown_id"))
    if found != ("words", PADDING_ID, UNKNOWN_ID):
        raise ContractError(f"an unknown kind of tokenizer {found}", where=str(folder / TOKENIZER_NAME))
    try:
        return PolicyTransforms(
            embodiment=embodiment_from_dict(chain["embodiment"]),
            state=_state(state_form, stats, chain["state_epsilon"]),
            tokens=WordTokens(
                tuple(tokenizer["vocabulary"]),
                tokenizer["length"],
                tokenizer["overflow"],
                wordless=tokenizer.get("wordless", False) is True,
            ),
            actions=Bounds(stats["action_low"], stats["action_high"]) if action_form == "q01_q99" else None,
        )
    except (KeyError, TypeError) as error:
        raise ContractError(f"{error} is missing or of the wrong type", where=str(folder)) from error


def _arrays(transforms: PolicyTransforms) -> dict[str, npt.NDArray[np.float64]]:
    state, actions = transforms.state, transforms.actions
    if isinstance(state, Quantiles):
        found = {"state_q01": state.low, "state_q99": state.high}
    else:
        found = {"state_mean": state.mean, "state_std": state.std}
    if actions is not None:
        found |= {"action_low": actions.low, "action_high": actions.high}
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def _forms(chain: dict[str, Any], path: Path) -> tuple[str, str]:
    """How states and actions are normalised. Files of the first version do not say, and know one way."""
    found = chain.get("normalise", {}) if chain["version"] == _QUANTILES_VERSION else {}
    forms = found.get("state", _STATE_FORMS[0]), found.get("actions", _ACTION_FORMS[0])
    for name, form, known in zip(("state", "actions"), forms, (_STATE_FORMS, _ACTION_FORMS), strict=True):
        if form not in known:
            raise ContractError(
                f"normalise.{name} is {form!r}, expected one of {', '.join(known)}",
                where=str(path),
                hint="A newer gripline may have written it",
            )
    return forms


def _state(form: str, stats: dict[str, tuple[float, ...]], epsilon: float) -> Normalise | Quantiles:
    if form == "q01_q99":
        return Quantiles(stats["state_q01"], stats["state_q99"], epsilon)
    return Normalise(stats["state_mean"], stats["state_std"], epsilon)


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
