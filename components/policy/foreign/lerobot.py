"""What all policies of LeRobot have in common: config.json, normalisers in the file or beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.core.errors import ContractError
from components.policy.foreign.layout import Directory, Written
from components.policy.foreign.numbers import ACTION, STATE, Form, Forms
from components.policy.foreign.rules import LeftOut
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles

_FORMS: dict[str, Form] = {
    "MEAN_STD": "mean_std",
    "MIN_MAX": "min_max",
    "QUANTILES": "q01_q99",
    "IDENTITY": "identity",
}
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_PREFIX = "observation.images."

# Until 0.3 the statistics were buffers of the policy.
BUFFERS = tuple(
    LeftOut(f"{owner}.buffer_*.*", "statistics, read apart")
    for owner in ("normalize_inputs", "normalize_targets", "unnormalize_outputs")
)


def is_type(folder: Directory, name: str) -> bool:
    return bool(folder.config.get("type") == name)


def width(folder: Directory, side: str, feature: str) -> int:
    """Numbers of a feature by config.json, 0 where it names none; `side`: "input_features" or "output_features"."""
    found = folder.config.get(side, {}).get(feature, {}).get("shape", [])
    return int(found[0]) if found else 0


def views(folder: Directory) -> int:
    return sum(one.get("type") == "VISUAL" for one in folder.config.get("input_features", {}).values())


def forms_of(folder: Directory) -> Forms:
    """Raises `ContractError` for a form of normalisation that is not known."""
    named = folder.config.get("normalization_mapping", {})
    found = {kind: named.get(kind, "MEAN_STD") for kind in ("STATE", "ACTION")}
    for kind, form in found.items():
        if form not in _FORMS:
            raise ContractError(
                f"normalization_mapping.{kind} is {form!r}, known: {', '.join(_FORMS)}", where=str(folder.path)
            )
    return Forms(_FORMS[found["STATE"]], _FORMS[found["ACTION"]])


def features(config: PolicyConfig) -> dict[str, Any]:
    """input_features and output_features of config.json."""
    body, px = config.embodiment, config.embodiment.observation.image_px
    seen = {f"{_PREFIX}{camera}": {"type": "VISUAL", "shape": [3, px, px]} for camera in body.observation.cameras}
    state = {STATE: {"type": "STATE", "shape": [len(body.observation.state_names)]}}
    return {
        "input_features": state | seen,
        "output_features": {ACTION: {"type": "ACTION", "shape": [body.action.dim]}},
    }


def processors(config: PolicyConfig, transforms: PolicyTransforms, *, imagenet: bool) -> tuple[dict[str, str], Written]:
    """normalization_mapping, and the pipelines before and after the policy as 0.4 keeps them.

    Our actions are a range mapped to [-1, 1], which is MIN_MAX there. `imagenet`: how images are normalised.
    """
    modes = {
        "VISUAL": "MEAN_STD" if imagenet else "IDENTITY",
        "STATE": "MIN_MAX" if isinstance(transforms.state, Quantiles) else "MEAN_STD",
        "ACTION": "MIN_MAX",
    }
    named, stats = features(config), _statistics(config, transforms, imagenet=imagenet)
    before = {"eps": 1e-8, "features": named["input_features"] | named["output_features"], "norm_map": modes}
    after = before | {"features": named["output_features"]}
    files = (
        "policy_preprocessor_step_3_normalizer_processor.safetensors",
        "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
    )
    steps = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
        {"registry_name": "normalizer_processor", "config": before, "state_file": files[0]},
    ]
    back = [
        {"registry_name": "unnormalizer_processor", "config": after, "state_file": files[1]},
        {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
    ]
    texts = {
        "policy_preprocessor.json": {"name": "policy_preprocessor", "steps": steps},
        "policy_postprocessor.json": {"name": "policy_postprocessor", "steps": back},
    }
    return modes, Written(texts, {files[0]: stats, files[1]: stats})


def _statistics(config: PolicyConfig, transforms: PolicyTransforms, *, imagenet: bool) -> dict[str, Tensor]:
    """`feature.statistic` -> float32 tensor."""
    body, state = config.embodiment, transforms.state
    limits = transforms.actions or body.action
    found: dict[str, Any] = {f"{ACTION}.min": limits.low, f"{ACTION}.max": limits.high}
    if isinstance(state, Quantiles):
        found |= {f"{STATE}.min": state.low, f"{STATE}.max": state.high}
    else:
        found |= {f"{STATE}.mean": state.mean, f"{STATE}.std": tuple(state.scale)}
    made = {name: torch.from_numpy(np.asarray(values, np.float32)) for name, values in found.items()}
    for camera in body.observation.cameras if imagenet else ():
        made |= {f"{_PREFIX}{camera}.{name}": torch.tensor(of).view(3, 1, 1) for name, of in _IMAGENET.items()}
    return made
