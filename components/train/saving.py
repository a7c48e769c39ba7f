"""How a policy that is being trained becomes checkpoint folders, one a robot."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from components.core.files import replace_dir, write_json
from components.core.params import Train
from components.policy.checkpoint import DIGEST_FILES, checkpoint_digest, save_policy
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.module import PolicyTraining
from components.train.parts import ADAPTER_FILES, finished
from components.train.policies import beside, config_of, robots_of
from components.train.sharded import ShardedTraining, full_weights

METRICS_NAME = "metrics.json"


@dataclass(frozen=True)
class Saver:
    """Writes ordinary checkpoints of one job: `folder` for the workspace's own robot, those of others beside it."""

    job: Job
    inputs: Inputs
    params: Train

    def whole(self, module: PolicyTraining) -> nn.Module:
        """The policy in one piece. Where it is spread over processes, all call this and the first has its weights."""
        if not isinstance(module, ShardedTraining):
            return module.policy
        policy, weights = config_of(self.job, self.inputs.transforms, self.params).build(), full_weights(module.policy)
        if weights:
            policy.load_state_dict(weights)
        return policy

    def save(self, policy: nn.Module, folder: Path) -> dict[Path, str]:
        """The checkpoint digest of each folder, the workspace's own first. Adapters are merged, and lie beside."""
        plain = finished(policy, self.params, folder).eval()
        return {
            target: save_policy(target, one, config_of(self.job, transforms, self.params), transforms)
            for target, one, transforms in robots_of(plain, self.inputs, folder)
        }

    def keep(self, policy: nn.Module, folder: Path, row: dict[str, float]) -> None:
        """The same while training goes on: each folder is whole or absent, the workspace's own the last to come."""
        with replace_dir(folder) as temporary:
            plain = finished(policy, self.params, temporary)
            for target, one, transforms in robots_of(plain, self.inputs, folder):
                config = config_of(self.job, transforms, self.params)
                if target == folder:
                    save_policy(temporary, one, config, transforms)
                    continue
                with replace_dir(target) as other:
                    save_policy(other, one, config, transforms)
            write_json(temporary / METRICS_NAME, row)

    def take(self, kept: Path, folder: Path) -> dict[Path, str]:
        """What was kept becomes what `save` would have written."""
        digests = {}
        for number, transforms in enumerate(self.inputs.robots):
            source, target = (beside(path, transforms) if number else path for path in (kept, folder))
            target.mkdir(parents=True, exist_ok=True)
            for name in (*DIGEST_FILES, *ADAPTER_FILES):
                if (source / name).is_file():
                    shutil.copyfile(source / name, target / name)
            digests[target] = checkpoint_digest(target)
        return digests
