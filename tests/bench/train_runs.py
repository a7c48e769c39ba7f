"""What the training bench runs, each in a process of its own: some steps of one trainer on one tree.

    python tests/bench/train_runs.py act TREE HELD_OUT 5 1

prints JSON: samples, wall and CPU seconds of the steps after the first, and the seconds of them between two steps.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from ingest_scenes import PARAMS
from lightning.pytorch import LightningModule

from components.core.params import Train, load_params
from components.dataset.layout import STATE
from components.dataset.parts import Part, parts_of
from components.dataset.statistics.merging import running_of_parts
from components.train.allocator import keep_memory
from components.train.inputs import EPISODE_COLUMNS, Inputs
from components.train.jobs import Job
from components.train.module import PolicyTraining
from components.train.sides import make_side
from components.train.train import train_one
from components.transforms.chain import PolicyTransforms

# Windows in the loader's pool: few, or a run of some steps would decode ahead for hundreds.
POOL = 64
PLAIN = {"shift_px": 0, "crop": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "colour": 0.0}
# As LeRobot trains ACT by default; the chunk and the batch are those of the bench.
ACT: dict[str, Any] = {"preset": "act", "batch_size": 8, "chunk": 50, "learning_rate": 1e-5, "clip_norm": 10.0}
RUNS: dict[str, dict[str, Any]] = {
    "act": ACT | PLAIN | {"state_noise": 0.0},
    # With the augmentation and the batch that params.yaml says.
    "gripline-tiny": {"preset": "gripline-tiny"},
}


def params_of(name: str, steps: int) -> Train:
    params = load_params(PARAMS).train
    loader = params.loader.model_copy(update={"pool_windows": POOL})
    return params.model_copy(update=RUNS[name] | {"steps": steps, "loader": loader})


def inputs_of(tree: Path, held_out: Path, cache: Path, *, cached: bool = False) -> Inputs:
    """Every episode of `tree` to train on, from video or from a cache that is built first; `held_out`: to validate."""
    train, val = (tuple(parts_of(path)) for path in (tree, held_out))
    state = running_of_parts(list[Part](train), [STATE])[STATE].result()
    limit = 1 << 40 if cached else 0
    sides = [make_side(parts, cache, limit_bytes=limit, epochs=100) for parts in (train, val)]
    words = sorted(set(sides[0].table(["instruction"])["instruction"]))
    body = train[0].dataset.embodiment
    transforms = PolicyTransforms.fit(body, state["mean"], state["std"], instructions=words)
    digests = {"dataset": train[0].dataset.digest, "verdicts": ""}
    return Inputs(*sides, transforms, sides[0].table(EPISODE_COLUMNS), digests)


class Watch:
    """Wall and CPU time at the two ends of every training step, by hooks of the module that is trained."""

    def __init__(self) -> None:
        self.starts: list[tuple[float, float]] = []
        self.ends: list[tuple[float, float]] = []

    def attach(self) -> None:
        def begin(module: LightningModule, batch: Any, batch_idx: int) -> None:
            self.starts.append((time.perf_counter(), time.process_time()))

        def end(module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.ends.append((time.perf_counter(), time.process_time()))

        PolicyTraining.on_train_batch_start, PolicyTraining.on_train_batch_end = begin, end

    def result(self, batch_size: int) -> dict[str, float]:
        """Of the steps after the first, from the end of one to the end of the next."""
        wall, cpu = (self.ends[-1][kind] - self.ends[0][kind] for kind in (0, 1))
        between = sum(start[0] - end[0] for end, start in zip(self.ends, self.starts[1:], strict=False))
        samples = batch_size * (len(self.ends) - 1)
        return {"samples": samples, "wall_s": wall, "cpu_s": cpu, "loading_s": between}


def ours(name: str, tree: Path, held_out: Path, steps: int) -> dict[str, float]:
    watch, params = Watch(), params_of(name, steps)
    watch.attach()
    with tempfile.TemporaryDirectory() as folder:
        inputs = inputs_of(tree, held_out, Path(folder) / "cache")
        train_one(Job("bench", 1, steps), inputs, params, Path(folder) / "out")
    return watch.result(params.batch_size)


# Runs in LeRobot's environment: what its `lerobot-train` does between two log lines, with its own functions.
# Its torchvision looks for two operators that a build without CUDA does not declare.
LEROBOT = """
import json, multiprocessing, os, sys, time
import torch
operators = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from accelerate import Accelerator
from lerobot.configs.types import FeatureType
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import cycle, dataset_to_policy_features
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.scripts.lerobot_train import update_policy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
root, steps, threads, batch, chunk = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(1)
fps = json.load(open(root + "/meta/info.json"))["fps"]
data = LeRobotDataset("local/tree", root=root, delta_timestamps={"action": [step / fps for step in range(chunk)]})
kept = {"observation.images.cam0", "observation.images.cam1", "observation.state", "action"}
features = {name: one for name, one in dataset_to_policy_features(data.meta.features).items() if name in kept}
acts = {name: one for name, one in features.items() if one.type is FeatureType.ACTION}
seen = {name: one for name, one in features.items() if name not in acts}
config = ACTConfig(input_features=seen, output_features=acts, chunk_size=chunk, n_action_steps=chunk,
    pretrained_backbone_weights=None, device="cpu", push_to_hub=False)
policy = ACTPolicy(config)
preprocess, _ = make_act_pre_post_processors(config, dataset_stats=data.meta.stats)
optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-5, weight_decay=1e-4)
loader = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True, num_workers=1, prefetch_factor=2)
accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
policy, optimizer, loader = accelerator.prepare(policy, optimizer, loader)
batches = cycle(loader)
meters = {name: AverageMeter(name) for name in ("loss", "grad_norm", "lr", "update_s", "dataloading_s")}
metrics = MetricsTracker(batch, data.num_frames, data.num_episodes, meters, accelerator=accelerator)
ticks = os.sysconf("SC_CLK_TCK")
def cpu():
    used = time.process_time()
    for child in multiprocessing.active_children():
        fields = open(f"/proc/{child.pid}/stat").read().rsplit(")", 1)[1].split()
        used += (int(fields[11]) + int(fields[12])) / ticks
    return used
starts, ends = [], []
for _ in range(steps):
    given = preprocess(next(batches))
    starts.append(time.perf_counter())
    update_policy(metrics, policy, given, optimizer, 10.0, accelerator)
    ends.append((time.perf_counter(), cpu()))
print(json.dumps({
    "samples": batch * (steps - 1), "wall_s": ends[-1][0] - ends[0][0], "cpu_s": ends[-1][1] - ends[0][1],
    "loading_s": sum(start - end[0] for start, end in zip(starts[1:], ends)),
    "parameters": sum(value.numel() for value in policy.parameters()),
}))
os._exit(0)
"""


def main() -> None:
    name, tree, held_out, steps, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.use_deterministic_algorithms(True)
    keep_memory()
    print(json.dumps(ours(name, Path(tree), Path(held_out), int(steps))))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
