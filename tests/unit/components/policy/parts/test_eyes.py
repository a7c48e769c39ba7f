from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.parts.eyes import EyeByCamera, PassedOn
from components.policy.parts.towers import VisionTower


class Mean(VisionTower):
    """The mean of an image, times a weight of its own."""

    dim, tokens = 3, 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3))

    def forward(self, images: Tensor, sentence: Tensor | None = None) -> Tensor:
        return images.float().mean((1, 2)).unsqueeze(1) * self.weight


def test_each_camera_is_seen_by_its_own_eye():
    torch.manual_seed(1)
    eyes = EyeByCamera(("front", "wrist.left"), Mean)
    assert tuple(eyes.eyes) == ("camera_front", "camera_wrist_left")
    images = torch.randint(0, 256, (2, 2, 4, 4, 3), dtype=torch.uint8)
    seen = eyes(images.flatten(0, 1)).unflatten(0, (2, 2))
    for place, eye in enumerate(eyes.eyes.values()):
        torch.testing.assert_close(seen[:, place], eye(images[:, place]))


def test_tokens_are_passed_on_view_after_view():
    features = torch.arange(24.0).view(1, 2, 3, 4)
    connector = PassedOn()
    assert torch.equal(connector(features), features.view(1, 6, 4))
    assert connector.tokens(2, 3) == 6
