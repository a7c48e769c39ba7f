"""A checkpoint of ours as a directory of a foreign trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from components.core.errors import UsageError
from components.core.files import replace_dir, write_bytes, write_json
from components.policy.checkpoint import WEIGHTS_NAME, checkpoint_digest, load_policy
from components.policy.foreign.catalogue import layout_for
from components.policy.foreign.files import INDEX_NAME
from components.policy.foreign.importing import family_of
from components.policy.foreign.layout import Target
from components.policy.foreign.translate import to_theirs

REPORT_NAME = "export.json"
# The largest file that hubs take without a word; `transformers` splits there too.
SHARD_BYTES = 5_000_000_000


def export(folder: Path, framework: str, out: Path, *, shard_bytes: int = SHARD_BYTES) -> dict[str, Any]:
    """Writes `out`, which must not exist, and says what became of every tensor.

    Raises `InputError` where the framework knows no such model, `ContractError` where one of our tensors has no name
    there.
    """
    if out.exists():
        raise UsageError(f"{out} exists", hint="Give another --out, or remove it")
    policy, config, transforms = load_policy(folder)
    layout = layout_for(framework, family_of(config.preset))
    ours, buffers = policy.state_dict(), dict(policy.named_buffers())
    tensors, report = to_theirs(ours, buffers, layout.table(Target(config, ours)))
    report.require_fit(str(folder))
    written = layout.beside(policy, config, transforms)
    value = {
        "layout": layout.name,
        "names_from": layout.source,
        "checkpoint": checkpoint_digest(folder),
        "preset": config.preset,
        "embodiment": config.embodiment.name,
        "written": report.taken,
        "left_out": report.left_out,
        "absent": report.fresh,
        "notes": list(layout.differs),
    }
    with replace_dir(out) as temporary:
        for prefix in layout.apart:
            own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(f"{prefix}.")}
            held = {name.removeprefix(f"{prefix}."): tensor.contiguous() for name, tensor in own.items()}
            write_bytes(temporary / f"{prefix}.safetensors", save(held))
        write_weights(temporary, tensors, shard_bytes)
        for name, text in written.texts.items():
            write_json(temporary / name, text)
        for name, beside in written.tensors.items():
            write_bytes(temporary / name, save({key: tensor.contiguous() for key, tensor in beside.items()}))
        write_json(temporary / REPORT_NAME, value)
    return value


def write_weights(folder: Path, tensors: dict[str, Tensor], shard_bytes: int = SHARD_BYTES) -> None:
    """model.safetensors, or several files and their index where they would be larger than `shard_bytes`."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
        filled += size
    if len(shards) == 1:
        write_bytes(folder / WEIGHTS_NAME, save(shards[0], {"format": "pt"}))
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_bytes(folder / file, save(shard, {"format": "pt"}))
        places |= dict.fromkeys(shard, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    write_json(folder / INDEX_NAME, {"metadata": {"total_size": total}, "weight_map": places})
