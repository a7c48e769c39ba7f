"""The policies of a job: built, begun from a base, and written as checkpoints, one a robot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from components.core.files import write_json
from components.core.params import Train
from components.policy.bodies import Bodies
from components.policy.presets import PolicyConfig
from components.train.distributed import is_first
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.pretrained import REPORT as LOADED
from components.train.pretrained import load_pretrained
from components.train.start import REPORT
from components.transforms.chain import PolicyTransforms

log = logging.getLogger(__name__)

# Between the name of a job and that of another robot that its trunk serves.
BESIDE = "@"


def build_policy(job: Job, inputs: Inputs, params: Train, folder: Path) -> nn.Module:
    """The policy of the only robot, or `Bodies`, with the weights of `train.pretrained`, then of `train.start_from`.

    A job of 0 steps, the untrained control, begins from nothing. `pretrained.json` and, beside each robot's checkpoint,
    `start_from.json` say what was taken over.
    """
    configs = [config_of(job, transforms, params) for transforms in inputs.robots]
    policy = Bodies(configs) if len(configs) > 1 else configs[0].build()
    if inputs.pretrained and job.steps:
        loaded = load_pretrained(policy, inputs.pretrained, lenient=job.blind)
        if is_first():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / LOADED, loaded)
    if inputs.start is None or not job.steps:
        return policy
    for target, one, transforms in robots_of(policy, inputs, folder):
        done = inputs.start.into(one, transforms.embodiment)
        if not is_first():
            continue
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / REPORT, inputs.start.report(done, transforms.tokens.vocabulary))
        log.info("%-10s begins from a checkpoint of %s: %s", target.name, inputs.start.embodiment.name, done)
    return policy


def robots_of(policy: nn.Module, inputs: Inputs, folder: Path) -> Iterator[tuple[Path, nn.Module, PolicyTransforms]]:
    """Folder, policy and transforms of each robot: `folder` for the workspace's own, `<folder>@<robot>` for others."""
    policies = list(policy.policies) if isinstance(policy, Bodies) else [policy]
    for number, (one, transforms) in enumerate(zip(policies, inputs.robots, strict=True)):
        yield beside(folder, transforms) if number else folder, one, transforms


def beside(folder: Path, transforms: PolicyTransforms) -> Path:
    """Where the policy of another robot than the workspace's own lies."""
    return folder.with_name(f"{folder.name}{BESIDE}{transforms.embodiment.name}")


def config_of(job: Job, transforms: PolicyTransforms, params: Train) -> PolicyConfig:
    return PolicyConfig(
        params.preset,
        transforms.embodiment,
        transforms.vocab_size,
        transforms.text_len,
        params.chunk,
        blind=job.blind,
        wordless=job.wordless,
    )
