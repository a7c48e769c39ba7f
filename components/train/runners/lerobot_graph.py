"""ACT of LeRobot as a graph between physical units, and what LeRobot itself answers. Beside `lerobot_act.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SAMPLES = 32
# Of LeRobot's normaliser.
EPSILON = 1e-8


@torch.no_grad()
def recorded_samples(
    policy: Any, before: Any, after: Any, val: Any, episodes: list[dict], told: dict[str, Any]
) -> dict[str, Tensor]:
    """Held-out observations with what LeRobot's own processors and policy answer to them."""
    rows = [val[index] for index in np.unique(np.linspace(0, len(val) - 1, SAMPLES).astype(int))]
    words = {episode["episode_index"]: episode["tokens"] for episode in episodes}
    pixels = [
        torch.stack([(row[key] * 255).round().to(torch.uint8) for key in told["features"]["images"]]) for row in rows
    ]
    images = torch.stack(pixels).permute(0, 1, 3, 4, 2).contiguous()
    state = torch.stack([row[told["features"]["state"]] for row in rows])
    seen = {
        key: images[:, place].permute(0, 3, 1, 2).float() / 255 for place, key in enumerate(told["features"]["images"])
    }
    actions = after(policy.predict_action_chunk(before({told["features"]["state"]: state, **seen})))
    numbers = torch.tensor([int(row["episode_index"]) for row in rows])
    return {
        "images": images,
        "state": state,
        "tokens": torch.tensor([words[int(number)] for number in numbers]),
        "actions": actions.contiguous(),
        "episode_index": numbers,
        "frame_index": torch.tensor([int(row["frame_index"]) for row in rows]),
    }


class Graph(nn.Module):
    """ACT between physical units: LeRobot's normalisation on both sides of its model."""

    def __init__(self, policy: Any, stats: dict[str, dict[str, Tensor]], told: dict[str, Any]) -> None:
        super().__init__()
        self.policy, self.keys, self.state_key = policy, told["features"]["images"], told["features"]["state"]
        action = told["features"]["action"]
        for name, key in (("state", self.state_key), ("action", action), ("image", self.keys[0])):
            for moment in ("mean", "std"):
                self.register_buffer(f"{name}_{moment}", stats[key][moment])

    def forward(self, images: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
        pixels = images.permute(0, 1, 4, 2, 3).to(torch.float32) / 255
        pixels = (pixels - self.image_mean) / (self.image_std + EPSILON)
        batch = {key: pixels[:, place] for place, key in enumerate(self.keys)}
        batch[self.state_key] = (state - self.state_mean) / (self.state_std + EPSILON)
        batch["observation.images"] = [batch[key] for key in self.keys]
        return self.policy.model(batch)[0] * self.action_std + self.action_mean


def export(
    policy: Any, stats: dict[str, dict[str, Tensor]], samples: dict[str, Tensor], told: dict[str, Any], path: Path
) -> None:
    names = ["images", "state", "tokens"]
    # With an example batch of 1 the exporter would take the axis for a constant.
    example, batch = tuple(samples[name][:2] for name in names), torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.onnx.export(
            Graph(policy, stats, told).eval(),
            example,
            dynamo=True,
            opset_version=20,
            input_names=names,
            output_names=["actions"],
            dynamic_shapes=tuple({0: batch} for _ in names),
            verbose=False,
        )
    program.save(path, external_data=False)
