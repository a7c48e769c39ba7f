from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import SmolVLMConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMConnector

from components.core.errors import ContractError
from components.policy.parts.shuffle import ShuffledProjection, side_by_side


def test_four_neighbours_are_one_token_row_by_row():
    # 0  1  2  3
    # 4  5  6  7
    # 8  9 10 11
    # 12 13 14 15, each a feature of two numbers.
    features = torch.arange(16.0).repeat_interleave(2).view(1, 1, 16, 2)
    expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert side_by_side(features, 2)[0, 0, :, ::2].tolist() == expected


@settings(deadline=None)
@given(fewer=st.integers(1, 4), factor=st.integers(1, 4), dim=st.integers(1, 3))
def test_every_number_comes_through_once(fewer, factor, dim):
    features = torch.arange(float((fewer * factor) ** 2 * dim)).view(1, -1, dim)
    shuffled = side_by_side(features, factor)
    assert shuffled.shape == (1, fewer**2, dim * factor**2)
    assert torch.equal(shuffled.flatten().sort().values, features.flatten())


def reference_of(factor: int) -> SmolVLMConnector:
    text = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2}
    return SmolVLMConnector(SmolVLMConfig(scale_factor=factor, vision_config={"hidden_size": 4}, text_config=text))


def test_it_is_the_shuffle_of_smolvlm():
    reference = reference_of(3)
    features = torch.randn(2, 36, 4)
    assert torch.equal(side_by_side(features, 3), reference.pixel_shuffle(features, 3))


def test_the_connector_of_smolvlm_is_a_projection_without_norm_and_bias():
    reference, ours = reference_of(2), ShuffledProjection(4, 2, (8,), bias=False)
    assert [weight.shape for weight in ours.parameters()] == [weight.shape for weight in reference.parameters()]
    ours.projection.layers[0].load_state_dict(reference.modality_projection.proj.state_dict())
    features = torch.randn(2, 2, 16, 4)
    torch.testing.assert_close(
        ours(features), torch.stack([reference(one) for one in features.unbind(1)], 1).flatten(1, 2)
    )


def test_tokens_of_all_views_follow_one_another_and_are_scaled():
    torch.manual_seed(1)
    connector = ShuffledProjection(4, 2, (8, 6), norm=True, scale=10.0)
    features = torch.randn(2, 3, 16, 4)
    tokens = connector(features)
    assert tokens.shape == (2, connector.tokens(3, 16), 6) == (2, 12, 6)
    torch.testing.assert_close(tokens[:, 4:8], connector(features[:, 1:2]))
    connector.scale = 1.0
    torch.testing.assert_close(tokens, connector(features) * 10.0)


@pytest.mark.parametrize(("count", "factor"), [(9, 2), (8, 2), (16, 3)])
def test_what_is_no_square_of_whole_tokens_is_refused(count, factor):
    with pytest.raises(ContractError, match=f"{count} features are no square"):
        side_by_side(torch.zeros(1, count, 2), factor)
