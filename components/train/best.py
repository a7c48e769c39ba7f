"""Checkpoints of the smallest held-out action error, kept beside the last one."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from components.train.average import Average
from components.train.distributed import is_first
from components.train.policies import BESIDE
from components.train.saving import Saver


def step_name(step: int) -> str:
    return f"step-{step:06d}"


class BestCheckpoints(Callback):
    """Keeps `keep` policies in `folder/step-000750/`, each an ordinary checkpoint with its metrics.json.

    `kept`: their validation rows, the smallest error first; of equal errors the earlier. What is no longer among them
    goes with `prune`, which is called when the state that says so is safe.
    """

    def __init__(self, folder: Path, keep: int, saver: Saver, average: Average | None) -> None:
        self._folder, self._keep, self._saver, self._average = folder, keep, saver, average
        self.kept: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        error = float(pl_module.val_action_error)
        row = {"step": trainer.global_step, "val_action_error": error, "val_loss": float(pl_module.val_loss)}
        if not math.isfinite(error):
            return
        ranked = sorted([*self.kept, row], key=lambda one: (one["val_action_error"], one["step"]))
        self.kept = ranked[: self._keep]
        if row not in self.kept:
            return
        averaged = self._average.policy if self._average is not None else None
        policy = self._saver.whole(pl_module) if averaged is None else averaged
        if is_first():
            self._saver.keep(policy, self._folder / step_name(trainer.global_step), row)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.prune()

    def prune(self) -> None:
        """Removes what is not kept, also what a killed run left."""
        if is_first() and self._folder.is_dir():
            names = {step_name(int(row["step"])) for row in self.kept}
            for path in self._folder.iterdir():
                if path.name.partition(BESIDE)[0] not in names:
                    shutil.rmtree(path, ignore_errors=True)

    @property
    def best(self) -> Path:
        """The folder of the smallest error."""
        return self._folder / step_name(int(self.kept[0]["step"]))

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.kept = state_dict["kept"]
