from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from components.policy.tiny import TinyPolicy


def _policy(config, *, blind: bool = False, wordless: bool = False) -> TinyPolicy:
    torch.manual_seed(1)
    return TinyPolicy(config.shape, blind=blind, wordless=wordless).eval()


def test_sees_images_state_and_instruction(config, observations):
    policy = _policy(config)
    images, state, tokens = observations
    before = policy(images, state, tokens)
    assert before.shape == (3, 8, 4)
    for changed in (
        (255 - images, state, tokens),
        (images, state + 1.0, tokens),
        (images, state, tokens.roll(1, dims=0)),
        (images.flip(1), state, tokens),
    ):
        assert (policy(*changed) - before).abs().max().item() > 1e-6


def test_blind_policy_sees_no_image_but_all_the_rest(config, observations):
    policy = _policy(config, blind=True)
    images, state, tokens = observations
    before = policy(images, state, tokens)
    assert torch.equal(policy(255 - images, state, tokens), before)
    assert not torch.equal(policy(images, state + 1.0, tokens), before)
    assert not torch.equal(policy(images, state, tokens.roll(1, dims=0)), before)


def test_wordless_policy_reads_no_instruction_but_sees_all_the_rest(config, observations):
    policy = _policy(config, wordless=True)
    images, state, tokens = observations
    before = policy(images, state, tokens)
    assert torch.equal(policy(images, state, tokens.roll(1, dims=0)), before)
    assert not torch.equal(policy(images, state + 1.0, tokens), before)
    assert not torch.equal(policy(255 - images, state, tokens), before)
    # The same weights as those of the policy that reads, so that nothing else tells the two apart.
    reading = _policy(config)
    assert all(torch.equal(one, reading.state_dict()[name]) for name, one in policy.state_dict().items())
    assert torch.equal(reading(images, state, torch.zeros_like(tokens)), before)


def test_rows_of_a_batch_do_not_mix(config, observations):
    policy = _policy(config)
    together = policy(*observations)
    alone = torch.cat([policy(*(part[row : row + 1] for part in observations)) for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_every_weight_takes_part(config, observations):
    policy = _policy(config).train()
    policy(*observations).square().sum().backward()
    idle = [name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.abs().sum()]
    assert idle == []


@pytest.mark.parametrize("control", [{}, {"blind": True}, {"wordless": True}])
@pytest.mark.filterwarnings("ignore")  # the exporter's own deprecations
def test_exports_with_a_batch_axis_that_is_free(config, observations, tmp_path, control):
    policy = _policy(config, **control)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        policy,
        observations,
        dynamo=True,
        opset_version=20,
        verbose=False,
        input_names=["images", "state", "tokens"],
        output_names=["actions"],
        dynamic_shapes=({0: batch}, {0: batch}, {0: batch}),
    )
    program.save(tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    assert [found.name for found in session.get_inputs()] == ["images", "state", "tokens"]
    for rows in (1, 2, 3):
        part = [value[:rows] for value in observations]
        feeds = dict(zip(["images", "state", "tokens"], (value.numpy() for value in part), strict=True))
        (actions,) = session.run(["actions"], feeds)
        np.testing.assert_allclose(actions, policy(*part).detach().numpy(), atol=1e-6)
