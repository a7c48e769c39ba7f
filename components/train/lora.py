"""Low-rank adapters (Hu et al. 2021) by PEFT: put beside layers of a policy, and merged into it in the end."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save
from torch import nn

from components.core.files import write_bytes, write_json
from components.core.train_params import Lora
from components.train.names import covered, require_match
from components.train.parts import ADAPTER_FILES

ADAPTER_NAME, ADAPTER_CONFIG_NAME = ADAPTER_FILES
_LAYERS = (nn.Linear, nn.Conv2d)


def add_adapters(policy: nn.Module, lora: Lora, *, lenient: bool = False) -> nn.Module:
    """Puts adapters beside the Linear and Conv2d layers that `lora.match` covers, in place; they change nothing yet.

    `lenient`: a pattern may match nothing. Raises `ParamsError` naming the nearest layers otherwise.
    """
    names = _layers(policy)
    for pattern in lora.match if not lenient else ():
        require_match("train.lora.match", pattern, names, "Linear or Conv2d layer")
    matched = sorted({name for pattern in lora.match for name in covered(pattern, names)})
    if not matched:
        return policy
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        # An expression must fit a name as a whole; of a list, PEFT also takes what ends like an entry.
        target_modules="|".join(map(re.escape, matched)),
    )
    return inject_adapter_in_model(config, policy)


def merged(policy: nn.Module) -> nn.Module:
    """A copy without adapters, which does what `policy` with its adapters does; its weights have their plain names."""
    whole = copy.deepcopy(policy)
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(whole.get_submodule(parent), child, layer.get_base_layer())
    return whole.requires_grad_(True)


def save_adapters(folder: Path, policy: nn.Module, lora: Lora) -> None:
    """adapter.safetensors (float32 A and B of every layer, by PEFT's names) and adapter.json (rank, alpha, layers)."""
    layers = [name for name, layer in policy.named_modules() if isinstance(layer, BaseTunerLayer)]
    if not layers:
        return
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in get_peft_model_state_dict(policy).items()}
    write_bytes(folder / ADAPTER_NAME, save(tensors))
    write_json(folder / ADAPTER_CONFIG_NAME, {"rank": lora.rank, "alpha": lora.alpha, "layers": layers})


def _layers(policy: nn.Module) -> list[str]:
    # Attention reads the weights of its own projection past the layer's forward, and would not see an adapter there.
    hidden = {
        id(child)
        for module in policy.modules()
        if isinstance(module, nn.MultiheadAttention)
        for child in module.modules()
    }
    return [name for name, module in policy.named_modules() if isinstance(module, _LAYERS) and id(module) not in hidden]
