"""Trains ACT with LeRobot 0.4.4 and leaves what `train.external` asks for. Runs in an environment of LeRobot's own.

    lerobot_act.py {dataset} {episodes} {val_episodes} {out} {params}

With `lerobot_graph.py` beside it, it stands alone: copy both and change them. Settings are the fields of LeRobot's
`ACTConfig`, and `steps`, `batch_size`, `workers`. ACT: Zhao et al. 2023, arXiv:2304.13705. It takes no instruction.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

# torchvision registers two operators that it cannot find where its library was built for CUDA; none of them is called.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
try:
    torch.ops.load_library(str(distribution("torchvision").locate_file("torchvision/_C.so")))
except OSError:
    for _name in ("nms", "qnms"):
        _OPERATORS.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.factory import IMAGENET_STATS
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot_graph import export, recorded_samples
from safetensors.torch import save_file

LOG_EVERY = 25
OWN_SETTINGS = {"steps": 300, "batch_size": 8, "workers": 0}
# No weights from anywhere, and a model that a CPU can train.
ACT_SETTINGS = {"pretrained_backbone_weights": None, "device": "cpu", "push_to_hub": False}


def main() -> None:
    dataset, episodes, val_episodes, out, params = sys.argv[1:]
    told, sides = _json(params), [_json(episodes), _json(val_episodes)]
    own = {name: told["settings"].get(name, value) for name, value in OWN_SETTINGS.items()}
    torch.manual_seed(told["seed"])
    train, val = (_open(dataset, side["episodes"], told) for side in sides)
    stats = _statistics(train, told)
    policy = ACTPolicy(_config(told))
    before, after = make_act_pre_post_processors(policy.config, stats)
    target = Path(out)
    loss = _train(policy, before, train, own, told["seed"], target / "log.jsonl")
    policy.eval()
    for part in (policy, before, after):
        part.save_pretrained(target / "pretrained_model")
    kept = {key: {name: value.tolist() for name, value in of.items()} for key, of in stats.items()}
    (target / "stats.json").write_text(json.dumps(kept))
    samples = recorded_samples(policy, before, after, val, sides[1]["episodes"], told)
    export(policy, stats, samples, told, target / "policy.onnx")
    save_file(samples, target / "samples.safetensors")
    declared = {
        "framework": "lerobot",
        "framework_version": version("lerobot"),
        "preset": "lerobot-act",
        "kind": "chunk_regression",
        "runtime": "lerobot-torch",
        "seed": told["seed"],
        "steps": own["steps"],
        "chunk": policy.config.chunk_size,
        "dataset": sides[0]["dataset"],
        "action_names": [name for group in told["embodiment"]["action"]["groups"] for name in group["names"]],
        "checkpoint": "pretrained_model",
        "metrics": {
            "loss": loss,
            "val_loss": _validate(policy, before, val, own["batch_size"]),
            "parameters": sum(parameter.numel() for parameter in policy.parameters()),
        },
        "metrics_file": "log.jsonl",
    }
    (target / "external.json").write_text(json.dumps(declared, indent=2))


def _json(path: str) -> Any:
    return json.loads(Path(path).read_text())


def _open(root: str, episodes: list[dict[str, Any]], told: dict[str, Any]) -> LeRobotDataset:
    ahead = {told["features"]["action"]: [step / told["fps"] for step in range(told["train"]["chunk"])]}
    numbers = sorted(episode["episode_index"] for episode in episodes)
    return LeRobotDataset("local/dataset", root=root, episodes=numbers, delta_timestamps=ahead)


def _config(told: dict[str, Any]) -> ACTConfig:
    body, names = told["embodiment"], told["features"]
    px = body["observation"]["image_px"]
    dims = {
        "state": sum(len(group["names"]) for group in body["observation"]["state"]),
        "action": sum(len(group["names"]) for group in body["action"]["groups"]),
    }
    seen = {key: PolicyFeature(FeatureType.VISUAL, (3, px, px)) for key in names["images"]}
    chunk = told["train"]["chunk"]
    settings = {name: value for name, value in told["settings"].items() if name not in OWN_SETTINGS}
    return ACTConfig(
        input_features={names["state"]: PolicyFeature(FeatureType.STATE, (dims["state"],)), **seen},
        output_features={names["action"]: PolicyFeature(FeatureType.ACTION, (dims["action"],))},
        chunk_size=chunk,
        n_action_steps=chunk,
        **{**ACT_SETTINGS, **settings},
    )


def _statistics(train: LeRobotDataset, told: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Of the training episodes alone; LeRobot's own file speaks of all."""
    stats = {
        key: {name: torch.tensor(value) for name, value in IMAGENET_STATS.items()} for key in told["features"]["images"]
    }
    for key in (told["features"]["state"], told["features"]["action"]):
        rows = np.stack([np.asarray(row, np.float64) for row in train.hf_dataset.with_format("numpy")[key]])
        found = {"mean": rows.mean(axis=0), "std": rows.std(axis=0), "min": rows.min(axis=0), "max": rows.max(axis=0)}
        stats[key] = {name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()}
    return stats


def _train(policy: ACTPolicy, before: Any, data: LeRobotDataset, own: dict[str, int], seed: int, log: Path) -> float:
    """The mean loss of the last steps."""
    optimiser = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(data, own["batch_size"], shuffle=True, generator=order, num_workers=own["workers"])
    policy.train()
    step, losses, lines, mean = 0, [], [], float("nan")
    while step < own["steps"]:
        for batch in loader:
            loss, _ = policy.forward(before(batch))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), policy.config.get_optimizer_preset().grad_clip_norm)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            losses.append(float(loss.detach()))
            if step % LOG_EVERY == 0 or step == own["steps"]:
                mean = float(np.mean(losses))
                lines.append(json.dumps({"step": step, "loss": mean}))
                sys.stdout.write(f"step {step} loss {mean:.4f}\n")
                sys.stdout.flush()
                losses = []
            if step == own["steps"]:
                break
    log.write_text("".join(f"{line}\n" for line in lines))
    return mean


@torch.no_grad()
def _validate(policy: ACTPolicy, before: Any, data: LeRobotDataset, batch_size: int) -> float:
    """Mean absolute error of normalised actions over all held-out frames, padding left out."""
    total = count = 0.0
    for batch in DataLoader(data, batch_size):
        ready = before(batch)
        off = (policy.predict_action_chunk(ready) - ready["action"]).abs()
        kept = ~ready["action_is_pad"].unsqueeze(-1)
        total, count = total + float((off * kept).sum()), count + float(kept.sum()) * off.shape[-1]
    return total / count


if __name__ == "__main__":
    main()
