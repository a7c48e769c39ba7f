from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from components.policy.parts.resampler import CrossAttention, Latents, Resampler, sinusoids

WIDTH, COUNT = 12, 5


def made() -> Latents:
    torch.manual_seed(1)
    return Latents(WIDTH, COUNT, heads=2, head_width=4).eval()


def resampler(*views: str) -> Resampler:
    torch.manual_seed(2)
    return Resampler(views, 9, 6, WIDTH, COUNT, hidden=8).eval()


def drawn(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_attention_is_that_of_torch():
    attention = CrossAttention(8, heads=2, head_width=4)
    torch.manual_seed(4)
    for weight in attention.parameters():
        nn.init.normal_(weight)
    expected = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        expected.in_proj_weight.copy_(
            torch.cat([one.weight for one in (attention.query, attention.key, attention.value)])
        )
        expected.in_proj_bias.zero_()
        expected.out_proj.weight.copy_(attention.out.weight)
        expected.out_proj.bias.copy_(attention.out.bias)
    queries, features = drawn(2, 3, 8), drawn(2, 7, 8, seed=5)
    seen = torch.arange(7) < torch.tensor([[7], [4]])
    found, _ = expected(queries, features, features, key_padding_mask=~seen, need_weights=False)
    torch.testing.assert_close(attention(queries, features, seen), found, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=9).filter(any), st.integers(0, 1000))
def test_what_is_not_seen_changes_nothing(there, seed):
    seen = torch.tensor([there])
    features, latents = drawn(1, len(there), WIDTH, seed=seed), made()
    other = torch.where(seen.unsqueeze(2), features, 1e3 * drawn(1, len(there), WIDTH, seed=seed + 1))
    read = latents(features, seen)
    torch.testing.assert_close(latents(other, seen), read)
    torch.testing.assert_close(latents(features[:, seen[0]]), read)


def test_where_nothing_is_seen_the_tokens_are_zero_and_so_is_the_gradient():
    features, latents = drawn(2, 4, WIDTH).requires_grad_(), made()
    read = latents(features, torch.tensor([[True, False, True, True], [False] * 4]))
    read.square().sum().backward()
    assert read[0].abs().min() > 0.0
    assert not read[1].any()
    assert not features.grad[1].any()
    assert features.grad[0, 0].any()
    assert not features.grad[0, 1].any()
    assert all(weight.grad.isfinite().all() for weight in latents.parameters())


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_view_is_as_if_the_robot_did_not_have_it(missing):
    names = ("camera_a", "camera_b", "camera_c")
    whole, fewer = resampler(*names), resampler(*(name for place, name in enumerate(names) if place != missing))
    fewer.load_state_dict({name: value for name, value in whole.state_dict().items() if name in fewer.state_dict()})
    features, kept = drawn(2, 3, 9, 6), [place for place in range(3) if place != missing]
    seen = torch.ones(2, 3, dtype=torch.bool)
    seen[:, missing] = False
    torch.testing.assert_close(whole(features, seen), fewer(features[:, kept]))
    features[:, missing] = 50.0
    torch.testing.assert_close(whole(features, seen), fewer(features[:, kept]))


def test_it_gives_as_many_tokens_however_many_views_there_are():
    for count in (1, 2, 4):
        connector = resampler(*(f"camera_{number}" for number in range(count)))
        assert connector(drawn(2, count, 9, 6)).shape == (2, COUNT, WIDTH)
        assert connector.tokens(count, 9) == COUNT


def test_views_and_places_are_told_apart():
    connector, features = resampler("camera_a", "camera_b"), drawn(1, 2, 9, 6)
    before = connector(features)
    assert not torch.allclose(connector(features.flip(1)), before)
    assert not torch.allclose(connector(features.flip(2)), before)


def test_dropout_is_for_training_alone():
    latents = Latents(WIDTH, COUNT, dropout=0.5)
    features = drawn(1, 6, WIDTH)
    assert not torch.equal(latents(features), latents(features))
    latents.eval()
    assert torch.equal(latents(features), latents(features))


def test_sinusoids_are_those_of_the_publication():
    table = sinusoids(7, 5)
    for place in range(7):
        for number in range(5):
            angle = torch.tensor(place / 10000.0 ** (2 * (number // 2) / 5))
            expected = angle.sin() if number % 2 == 0 else angle.cos()
            torch.testing.assert_close(table[place, number], expected, atol=1e-6, rtol=1e-6)
