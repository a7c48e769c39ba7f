from __future__ import annotations

from dataclasses import replace

import torch

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.catalogue.diffusion import CARD
from components.policy.catalogue.published import count_published
from components.policy.presets import PolicyConfig

# FiLM of LeRobot reads a second frame as well: 64 numbers of its keypoints and 2 of its state, for 28,672 of FiLM.
SECOND_FRAME = (64 + 2) * 28_672


def test_the_published_size_is_lerobots_but_for_its_second_frame():
    assert count_published(CARD) == CARD.published.parameters - SECOND_FRAME


def test_robots_share_convolutions_and_the_cameras_of_the_same_name():
    state = SAWYER_CELL.observation.state
    other = replace(
        SAWYER_CELL,
        name="other",
        observation=replace(SAWYER_CELL.observation, cameras=("side", "wrist"), state=(state[0],)),
        action=replace(SAWYER_CELL.action, groups=SAWYER_CELL.action.groups[:1]),
    )
    configs = [PolicyConfig("diffusion-small", body, 9, 6, chunk=8) for body in (SAWYER_CELL, other)]
    own, another = Bodies(configs).policies
    assert own.tower.eyes["camera_wrist"] is another.tower.eyes["camera_wrist"]
    assert own.head.unet.middle is another.head.unet.middle
    assert own.head.unet.down[0][1] is another.head.unet.down[0][1]
    assert own.head.film.sources["camera_wrist"] is another.head.film.sources["camera_wrist"]
    assert own.head.film.bias is another.head.film.bias
    first = another.head.unet.down[0][0].before[0]
    assert first.weight.shape[1] == 3
    assert another.head.film.sources["state"].weight.shape[1] == 3
    seen = torch.zeros(2, 2, 96, 96, 3, dtype=torch.uint8), torch.zeros(2, 3), torch.zeros(2, 6, dtype=torch.int64)
    with torch.no_grad():
        assert another(*seen).shape == (2, 8, 3)


def test_a_chunk_of_any_length_is_answered():
    torch.manual_seed(1)
    policy = PolicyConfig("diffusion-small", SAWYER_CELL, 9, 6, chunk=5).build().eval()
    seen = torch.zeros(2, 2, 96, 96, 3, dtype=torch.uint8), torch.zeros(2, 4), torch.zeros(2, 6, dtype=torch.int64)
    with torch.no_grad():
        assert policy(*seen).shape == (2, 5, 4)
