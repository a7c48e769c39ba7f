"""A policy on disk: weights (safetensors), configuration (JSON) and the transforms it was trained with. No pickle."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from components.core.errors import ContractError, RecordError
from components.core.files import digest_json, read_json, sha256_file, write_bytes, write_json
from components.core.spec import require_same
from components.policy.presets import PolicyConfig, config_from_dict
from components.transforms.chain import PolicyTransforms

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
# Everything that decides which action follows from an observation; the digest covers these files and no other.
DIGEST_FILES = (WEIGHTS_NAME, CONFIG_NAME, "transforms.json", "stats.safetensors", "tokenizer.json")


def save_policy(folder: Path, module: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> str:
    """Writes weights, configuration and transforms into `folder`; returns the checkpoint digest."""
    _require_fit(config, transforms, where=str(folder))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    write_bytes(folder / WEIGHTS_NAME, save(weights))
    write_json(folder / CONFIG_NAME, config.as_dict())
    transforms.save(folder)
    return checkpoint_digest(folder)


def load_policy(folder: Path) -> tuple[nn.Module, PolicyConfig, PolicyTransforms]:
    """Inverse of `save_policy`; the module is in evaluation mode.

    Raises `RecordError` for a file that is missing or unreadable, `ContractError` for weights that do not fit.
    """
    for name in DIGEST_FILES:
        if not (folder / name).is_file():
            raise RecordError(f"no {name}", where=str(folder), hint="A checkpoint is what `components.train` writes")
    try:
        config = config_from_dict(read_json(folder / CONFIG_NAME))
        weights = load((folder / WEIGHTS_NAME).read_bytes())
    except (ValueError, SafetensorError) as error:
        raise RecordError(f"not a checkpoint: {error}", where=str(folder)) from error
    transforms = PolicyTransforms.load(folder)
    _require_fit(config, transforms, where=str(folder))
    module = config.build()
    _require_same_tensors(module.state_dict(), weights, where=str(folder / WEIGHTS_NAME))
    module.load_state_dict(weights)
    return module.eval(), config, transforms


def checkpoint_digest(folder: Path) -> str:
    """sha256 over the digests of weights, configuration and transforms."""
    return digest_json({name: sha256_file(folder / name) for name in DIGEST_FILES})


def _require_fit(config: PolicyConfig, transforms: PolicyTransforms, *, where: str) -> None:
    require_same(config.embodiment, transforms.embodiment, where=where)
    for field in ("vocab_size", "text_len"):
        expected, found = getattr(config, field), getattr(transforms, field)
        if expected != found:
            raise ContractError(f"{field} is {found} in the transforms and {expected} in the policy", where=where)


def _require_same_tensors(expected: dict[str, Tensor], found: dict[str, Tensor], *, where: str) -> None:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise ContractError(f"tensor {name} is missing", where=where)
        if name not in expected:
            raise ContractError(f"tensor {name} is not part of the policy", where=where)
        left, right = expected[name], found[name]
        if left.shape != right.shape or left.dtype != right.dtype:
            raise ContractError(
                f"tensor {name} is {right.dtype} {list(right.shape)}, expected {left.dtype} {list(left.shape)}",
                where=where,
            )
