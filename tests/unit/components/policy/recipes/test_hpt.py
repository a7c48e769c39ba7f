from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from components.core.spec import SAWYER_CELL
from components.policy.bodies import Bodies
from components.policy.presets import PolicyConfig
from components.policy.recipes import hpt
from components.policy.recipes.hpt import HptSize, trunk_of
from components.policy.takeover import take_over

SEEN = SAWYER_CELL.observation
CELL = replace(SAWYER_CELL, observation=replace(SEEN, image_px=32))
# One camera fewer, of which the other robot has none; another state; other actions.
OTHER = replace(
    CELL,
    name="other",
    observation=replace(CELL.observation, cameras=("wrist",), state=SEEN.state[:1]),
    action=replace(CELL.action, groups=CELL.action.groups[:1]),
)
CAMERAS = ("fixed", "wrist")


@pytest.fixture(autouse=True)
def _smaller(monkeypatch):
    monkeypatch.setattr(hpt, "SMALL", HptSize(width=32, blocks=2, heads=4, channels=8, dropout=0.0))


def config_of(body, preset: str = "hpt-small") -> PolicyConfig:
    return PolicyConfig(preset, body, vocab_size=9, text_len=6, chunk=4)


def made(body, seed: int = 1, preset: str = "hpt-small") -> nn.Module:
    torch.manual_seed(seed)
    return config_of(body, preset).build()


def batch_of(body: list[int]) -> dict[str, torch.Tensor]:
    """As padded by a loader of both robots."""
    rows, generator = len(body), torch.Generator().manual_seed(1)
    tokens = torch.randint(1, 9, (rows, 6), generator=generator)
    tokens[:, 3:] = 0
    return {
        "images": torch.randint(0, 256, (rows, 2, 32, 32, 3), generator=generator, dtype=torch.uint8),
        "state": torch.randn(rows, 4, generator=generator),
        "tokens": tokens,
        "actions": torch.rand(rows, 4, 4, generator=generator) - 0.5,
        "mask": torch.ones(rows, 4),
        "body": torch.tensor(body),
    }


def bodies() -> Bodies:
    assert CELL.observation.cameras == CAMERAS
    torch.manual_seed(4)
    return Bodies([config_of(CELL), config_of(OTHER)])


def tensors(policy: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(policy.named_parameters()), **dict(policy.named_buffers())}


@pytest.mark.parametrize(
    ("size", "published"),
    [
        (HptSize(128, 16, 8), 3.1e6),
        (HptSize(256, 16, 8), 12.6e6),
        (HptSize(512, 16, 8), 50.5e6),
        (hpt.XLARGE, 226.8e6),
    ],
)
def test_trunks_have_the_published_sizes(size, published):
    with torch.device("meta"):
        counted = sum(weight.numel() for weight in trunk_of(size).parameters())
    # 3.1 of 3.18 M: the table cuts off, and does not round.
    assert counted == pytest.approx(published, rel=0.025)


def test_robots_share_the_trunk_and_have_stems_and_heads_of_their_own():
    own, other = bodies().policies
    assert own.trunk is other.trunk
    assert own.tower is other.tower
    assert own.words is other.words
    mine, theirs = tensors(own), tensors(other)
    for name in set(mine) & set(theirs):
        assert (mine[name] is theirs[name]) == (not own.adapters.edge_of(name)), name
    edges = {name for name in mine if own.adapters.edge_of(name)}
    assert {name.split(".")[0] for name in edges} == {"state", "connector", "head"}
    assert own.state.places.shape == (4, 32)
    assert other.state.places.shape == (3, 32)


def test_a_camera_is_the_same_eye_in_both_and_a_stem_reads_those_that_a_robot_has():
    own, other = bodies().policies
    assert list(own.connector.views) == ["camera_fixed", "camera_wrist"]
    assert list(other.connector.views) == ["camera_wrist"]
    assert own.connector.views["camera_wrist"] is other.connector.views["camera_wrist"]
    assert own.connector.latents is not other.connector.latents


def test_two_robots_train_in_one_run():
    both, batch = bodies().train(), batch_of([0, 1, 1, 0])
    trunk = {name: tensor.clone() for name, tensor in both.policies[0].trunk.state_dict().items()}
    optimizer = torch.optim.AdamW(both.parameters(), lr=5e-3, weight_decay=0.0)

    def losses() -> dict[str, torch.Tensor]:
        found = {name: policy.training_loss(part) for name, policy, part in both.groups(batch)}
        return {name: loss.total / loss.count for name, loss in found.items()}

    before = losses()
    assert set(before) == {"sawyer-cell", "other"}
    for _ in range(25):
        optimizer.zero_grad()
        torch.stack(list(losses().values())).sum().backward()
        optimizer.step()
    after = losses()
    assert all(after[name] < 0.5 * before[name] for name in before)
    moved = both.policies[1].trunk.state_dict()
    assert all(not torch.equal(moved[name], tensor) for name, tensor in trunk.items() if name.endswith("weight"))
    assert all(torch.equal(moved[name], tensor) for name, tensor in both.policies[0].trunk.state_dict().items())


def test_either_robot_teaches_the_trunk_and_its_own_edges_alone():
    both = bodies()
    for _, policy, part in both.groups(batch_of([1, 1])):
        loss = policy.training_loss(part)
        (loss.total / loss.count + both.untouched(batch_of([1, 1]))).backward()
    own, other = both.policies
    assert all(weight.grad is not None for weight in both.parameters())
    assert other.trunk.blocks[0].attention.query.weight.grad.any()
    assert other.head.layers[0].weight.grad.any()
    assert not own.head.layers[0].weight.grad.any()
    assert not own.connector.latents.queries.grad.any()
    assert not own.connector.views["camera_fixed"][0].weight.grad.any()


def test_a_trunk_moves_to_a_new_robot():
    base, policy = made(CELL, seed=9), made(OTHER)
    drawn = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    report = take_over(policy, OTHER, base.state_dict(), CELL, policy.adapters)
    for name, tensor in policy.state_dict().items():
        edge = policy.adapters.edge_of(name)
        assert torch.equal(tensor, drawn[name] if edge else base.state_dict()[name]), name
        assert (name in report.fresh) == bool(edge), name
    assert {name for name in report.left_over if name.startswith("trunk.")} == set()
    assert "connector.views.camera_fixed.0.weight" in report.left_over


def test_a_camera_that_is_not_known_begins_as_a_copy():
    body = replace(CELL, observation=replace(CELL.observation, cameras=("wrist", "top")))
    policy = made(body)
    report = take_over(policy, body, made(CELL, seed=9).state_dict(), CELL, policy.adapters)
    assert report.copied["connector.views.camera_top.0.weight"] == "connector.views.camera_fixed.0.weight"
    assert not report.fresh


def test_an_instruction_of_padding_is_none():
    policy, batch = made(CELL).eval(), batch_of([0, 0])
    with torch.no_grad():
        batch["tokens"][:] = 0
        before = policy(batch["images"], batch["state"], batch["tokens"])
        policy.words.table.weight[0] = 5.0
        assert torch.equal(policy(batch["images"], batch["state"], batch["tokens"]), before)


def test_the_mixture_has_a_mode_for_each_window_before_it_tells_them_apart():
    policy, batch = made(CELL, preset="hpt-gmm-small").train(), batch_of([0, 0, 0])
    optimizer = torch.optim.AdamW(policy.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(40):
        optimizer.zero_grad()
        loss = policy.training_loss(batch)
        (loss.total / loss.count).backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    # Below what a single Gaussian of the actions' own spread could reach, which is 0.18.
    assert loss.parts["nll"] < -0.5
    with torch.no_grad():
        context = policy.context(batch["images"], batch["state"], batch["tokens"])
        _, means, _ = policy.head.mixture(context)
    apart = (means[:, 0] - batch["actions"].unsqueeze(1)).abs().mean(dim=(2, 3)).amin(dim=1)
    assert apart.max() < 0.1
