"""The checkpoint that training begins from, whatever robot it is of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from components.core.errors import ContractError, RecordError
from components.core.params import Train
from components.core.pins import require_pinned
from components.core.spec import Embodiment
from components.policy.adapters import adapters_of
from components.policy.checkpoint import checkpoint_digest, load_policy
from components.policy.takeover import TakenOver, take_over

log = logging.getLogger(__name__)

REPORT = "start_from.json"


@dataclass(frozen=True)
class Start:
    """Weights of a base checkpoint, its robot, and its words, which keep their numbers."""

    digest: str
    preset: str
    embodiment: Embodiment
    vocabulary: tuple[str, ...]
    weights: dict[str, Tensor]

    def into(self, policy: nn.Module, body: Embodiment) -> TakenOver:
        """Writes the weights into `policy`, in place; returns what became of each tensor."""
        return take_over(policy, body, self.weights, self.embodiment, adapters_of(policy, self.preset))

    def report(self, done: TakenOver, vocabulary: tuple[str, ...]) -> dict[str, Any]:
        words = {"known": len(self.vocabulary), "new": list(vocabulary[len(self.vocabulary) :])}
        return {"checkpoint": self.digest, "embodiment": self.embodiment.name, "words": words, **done.as_dict()}


def read_start(root: Path, params: Train) -> Start | None:
    """The checkpoint of `train.start_from`, None where there is none; its path is from `root`, the workspace.

    Raises `RecordError` where it is missing or not what its digest says, `ContractError` for another preset.
    """
    asked = params.start_from
    if not asked.path:
        return None
    folder = root / asked.path
    policy, config, transforms = load_policy(folder)
    found = checkpoint_digest(folder)
    require_pinned(
        found,
        asked,
        setting="train.start_from",
        error=RecordError,
        where=asked.path,
        hint="The digest is in its record.json; name that, or bring back the checkpoint that was meant",
    )
    if config.preset != params.preset:
        raise ContractError(
            f"preset is {config.preset!r}, expected {params.preset!r}",
            where=asked.path,
            hint="Weights of one preset mean nothing in another: change train.preset or train.start_from",
        )
    adapters_of(policy, config.preset)
    weights = {name: tensor.detach().clone() for name, tensor in policy.state_dict().items()}
    log.info("begins from %s, a checkpoint of %s", asked.path, config.embodiment.name)
    return Start(found, config.preset, config.embodiment, transforms.tokens.vocabulary, weights)
