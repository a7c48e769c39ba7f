"""Weights that somebody else trained, into one part of a policy: a model of transformers and nothing around it."""

from __future__ import annotations

import copy
import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.core.errors import ContractError, ParamsError

log = logging.getLogger(__name__)

# What shapes do not show and without which the same numbers mean something else; names as transformers has them.
_MEANING = (
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "hidden_activation",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "rms_norm_eps",
    "rope_parameters",
    "patch_size",
    "query_pre_attn_scalar",
    "relative_attention_num_buckets",
    "feed_forward_proj",
)
_NAMED = 3


@dataclass
class PartLoaded:
    """`taken`: names and shapes in the part; `fresh`: those that stay as drawn, and why; `left_over`: what the files
    hold beside it, by the files' names.
    """

    part: str
    model: str
    taken: dict[str, list[int]] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        counts = f"{len(self.taken)} tensors taken, {len(self.fresh)} fresh, {len(self.left_over)} left over"
        return f"{self.part} ({self.model}): {counts}"


def parts_with_models(policy: nn.Module) -> dict[str, Any]:
    """Names that `load_part` takes, and the model of transformers in each: `trunk` for that in `trunk.model`."""
    found: dict[str, Any] = {}
    for name, module in policy.named_modules():
        if name and _is_model(module) and not any(name.startswith(f"{one}.model.") for one in found):
            found[name.removesuffix(".model")] = module
    return found


def load_part(policy: nn.Module, part: str, folder: Path, *, where: str) -> PartLoaded:
    """Writes the weights in `folder` (config.json and safetensors) into the model of `part`, in place.

    Every tensor of the part must be there in its shape, but for a table of words: a policy's words are those of its
    dataset, so the rows of another tokeniser mean nothing in it, and it stays as it was drawn.
    Raises `ParamsError` for a part that the policy does not have, `ContractError` for weights of another model.
    """
    model = _model_of(policy, part)
    # Models are drawn before they are filled; the seed of the training must not notice.
    with torch.random.fork_rng(), _quiet():
        theirs, found = _read(model, folder, where)
    report = PartLoaded(part, type(model).__name__)
    words = _words(model)
    report.left_over = sorted(found["unexpected_keys"])
    wrong = {name: (list(has), list(wants)) for name, has, wants in found["mismatched_keys"] if name not in words}
    if missing := sorted(set(found["missing_keys"]) - words):
        raise ContractError(
            f"{part} needs {_several(missing)}, which the weights lack", where=where, hint=_other_model(model)
        )
    if wrong:
        name = min(wrong)
        raise ContractError(
            f"{name} is {wrong[name][0]}, {part} needs {wrong[name][1]}{_more(len(wrong) - 1)}",
            where=where,
            hint=_other_model(model),
        )
    _fill(model, theirs.state_dict(), words, report)
    log.info("%s from %s", report, where)
    return report


def _fill(model: Any, theirs: dict[str, torch.Tensor], words: set[str], report: PartLoaded) -> None:
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in words:
                report.fresh[name] = f"{list(tensor.shape)}: words are those of the dataset"
                continue
            tensor.copy_(theirs[name])
            report.taken[name] = list(tensor.shape)


def _read(model: Any, folder: Path, where: str) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        _require_same_meaning(model, config, where)
        read: tuple[Any, dict[str, Any]] = type(model).from_pretrained(
            folder,
            config=copy.deepcopy(model.config),
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=model.dtype,
        )
    except ContractError:
        raise
    except Exception as error:  # transformers and safetensors have an error class for each reason, below Exception
        raise ContractError(f"not weights of a {type(model).__name__}: {error}", where=where) from error
    return read


def _require_same_meaning(model: Any, config: Any, where: str) -> None:
    """The file's configuration may be that of a whole of which the model is a part, as a tower in a SigLIP."""
    ours = model.config
    near = [config, *(getattr(config, name) for name in config.sub_configs if getattr(config, name) is not None)]
    theirs = next((one for one in near if one.model_type == ours.model_type), None)
    if theirs is None:
        raise ContractError(
            f"a {config.model_type}, this part is a {ours.model_type}", where=where, hint=_other_model(model)
        )
    for name in _MEANING:
        has, wants = getattr(theirs, name, None), getattr(ours, name, None)
        if has != wants:
            raise ContractError(f"{name} is {has}, this part has {wants}", where=where, hint=_other_model(model))


def _model_of(policy: nn.Module, part: str) -> Any:
    known = parts_with_models(policy)
    if part not in known:
        near = difflib.get_close_matches(part, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(sorted(known)) or 'none'}"
        raise ParamsError(f"train.pretrained: the policy has no part {part!r} that takes weights", hint=hint)
    return known[part]


def _words(model: Any) -> set[str]:
    """Every name of the table of words; none where a model reads something else."""
    table = model.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        return set()
    named = model.named_parameters(remove_duplicate=False)
    return {name for name, weight in named if weight is table.weight}


def _is_model(module: nn.Module) -> bool:
    """Whether it is a model of transformers, which is not imported for policies that have none."""
    return hasattr(module, "set_attn_implementation") and hasattr(module, "config")


def _other_model(model: Any) -> str:
    return f"It must be a {type(model).__name__} of the sizes of the preset: choose other weights, or another preset"


def _several(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + _more(len(names) - _NAMED)


def _more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no report of transformers' own."""
    from transformers.utils import logging as theirs

    verbosity, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(verbosity)
        if bars:
            theirs.enable_progress_bar()
