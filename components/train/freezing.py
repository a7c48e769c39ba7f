"""Which parameters stand still at which step. What stands still keeps its bytes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from components.core.errors import ParamsError
from components.core.train_params import Freeze
from components.train.names import beside_adapter, covered, is_adapter, plain, require_match

log = logging.getLogger("gripline")


class Freezing(Callback):
    """Takes gradients away from parameters by rules and step, so that the optimiser neither moves nor decays them.

    A module whose parameters are all frozen is in evaluation mode: running statistics of its norms stand still too.
    What is frozen follows from the step alone, so a resumed run needs no state of it. Where several processes train,
    what a later step trains keeps its place in their exchange of gradients and only loses its own.
    Layers beside adapters never train, and rules do not reach adapters.

    `lenient`: a rule may match nothing, as one of eyes does in the blind control. Raises `ParamsError` for such a rule
    otherwise, and where nothing trains in some steps.
    """

    def __init__(self, policy: nn.Module, rules: Sequence[Freeze], steps: int, *, lenient: bool = False) -> None:
        self._policy, self._step = policy, -1
        names = [name for name, _ in policy.named_parameters()]
        if not lenient:
            for rule in rules:
                require_match("train.freeze", rule.match, [plain(name) for name in names], "parameter")
        bounds = {0, *(rule.from_step for rule in rules), *(rule.until_step or 0 for rule in rules)}
        self._starts = sorted(bound for bound in bounds if bound < steps)
        self._frozen = {start: _frozen(names, rules, start) for start in self._starts}
        self._roots: list[nn.Module] = []
        for first, end in pairwise([*self._starts, steps]):
            _report(policy, self._frozen[first], f"steps {first}-{end - 1}")

    @property
    def shares(self) -> dict[str, float]:
        """{"trainable_share_from_step_0": share of all parameters ...}, one entry a phase."""
        return {
            f"trainable_share_from_step_{start}": _share(self._policy, self._frozen[start]) for start in self._starts
        }

    def frozen(self, step: int) -> frozenset[str]:
        """Names of the parameters that the step leaves as they are."""
        started = [start for start in self._starts if start <= step]
        return self._frozen[started[-1]] if started else frozenset()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        never = frozenset.intersection(*self._frozen.values()) if self._frozen else frozenset()
        for name, parameter in self._policy.named_parameters():
            # PEFT has switched off all but adapters.
            parameter.requires_grad_(name not in never)
        self._step = -1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        if self._step < 0 or self.frozen(step) != self.frozen(self._step):
            self._begin(self.frozen(step), alone=trainer.world_size == 1)
        self._step = step
        for root in self._roots:
            if root.training:
                root.eval()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        frozen = self.frozen(trainer.global_step)
        for name, parameter in self._policy.named_parameters():
            if name in frozen:
                parameter.grad = None

    def _begin(self, frozen: frozenset[str], *, alone: bool) -> None:
        parameters = dict(self._policy.named_parameters())
        if alone:
            for name, parameter in parameters.items():
                parameter.requires_grad_(name not in frozen)
        still = {id(parameters[name]) for name in frozen}
        self._policy.train()
        self._roots = _still_modules(self._policy, still)


def _frozen(names: Sequence[str], rules: Sequence[Freeze], step: int) -> frozenset[str]:
    holding = [rule.match for rule in rules if rule.from_step <= step and (rule.until_step or step + 1) > step]
    return frozenset(
        name
        for name in names
        if not is_adapter(name) and (beside_adapter(name) or any(covered(match, [plain(name)]) for match in holding))
    )


def _still_modules(module: nn.Module, still: set[int]) -> list[nn.Module]:
    """The largest modules that have parameters, all of them among `still`."""
    own = [id(parameter) for parameter in module.parameters()]
    if own and still.issuperset(own):
        return [module]
    return [found for child in module.children() for found in _still_modules(child, still)]


def _share(policy: nn.Module, frozen: frozenset[str]) -> float:
    sizes = {name: parameter.numel() for name, parameter in policy.named_parameters()}
    return sum(size for name, size in sizes.items() if name not in frozen) / sum(sizes.values())


def _report(policy: nn.Module, frozen: frozenset[str], when: str) -> None:
    sizes = {name: parameter.numel() for name, parameter in policy.named_parameters()}
    total, trained = sum(sizes.values()), sum(size for name, size in sizes.items() if name not in frozen)
    if not trained:
        raise ParamsError(f"train.freeze: nothing trains in {when}", hint="Freeze less, or end a rule with until_step")
    log.info("%s of %s parameters (%.1f %%) train in %s", _short(trained), _short(total), 100 * trained / total, when)


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
