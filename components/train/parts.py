"""What params say about parts of a policy: adapters before it trains, freezing while it does, one whole after it."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from components.core.params import Train
from components.train.freezing import Freezing
from components.train.jobs import Job

log = logging.getLogger(__name__)

# What lies beside a policy that was trained by adapters.
ADAPTER_FILES = ("adapter.safetensors", "adapter.json")


def adapted(policy: nn.Module, params: Train, job: Job) -> nn.Module:
    """The policy with adapters where `train.lora` asks for them. Raises `ParamsError` for a pattern without a layer."""
    if not params.lora.rank:
        return policy
    if not (params.start_from.path or params.pretrained) and job.steps:
        log.warning("train.lora without train.start_from or train.pretrained: what it leaves alone was never trained")
    # PEFT takes seconds to import, and most runs have no use for it.
    from components.train.lora import add_adapters

    return add_adapters(policy, params.lora, lenient=job.blind)


def freezing_of(policy: nn.Module, params: Train, job: Job) -> list[Freezing]:
    """The callback that holds parameters still, or none where all of them always train."""
    if not (params.freeze or params.lora.rank):
        return []
    return [Freezing(policy, params.freeze, job.steps, lenient=job.blind)]


def finished(policy: nn.Module, params: Train, folder: Path) -> nn.Module:
    """The policy without adapters, which are merged into it and written into `folder` beside it."""
    if not params.lora.rank:
        return policy
    from components.train.lora import merged, save_adapters

    save_adapters(folder, policy, params.lora)
    return merged(policy)
