from __future__ import annotations

import torch

from components.policy.parts.film import Film


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 6, 3, 3, generator=generator), torch.randn(2, 4, generator=generator)


def test_it_changes_nothing_at_first():
    features, sentence = inputs()
    assert torch.equal(Film(4, 6)(features, sentence), features)


def test_it_scales_by_one_more_and_shifts_as_the_sentence_says():
    film, (features, sentence) = Film(4, 6), inputs()
    with torch.no_grad():
        film.scale.weight[2, 1], film.shift.bias[5] = 0.5, -3.0
    expected = features.clone()
    expected[:, 2] *= (1.0 + 0.5 * sentence[:, 1])[:, None, None]
    expected[:, 5] -= 3.0
    torch.testing.assert_close(film(features, sentence), expected)


def test_it_learns_from_zero():
    """Weights of zero are no dead end: the gradient does not pass through them."""
    film, (features, sentence) = Film(4, 6), inputs()
    (film(features, sentence) ** 2).sum().backward()
    assert film.scale.weight.grad.abs().min() > 0.0
    assert film.shift.bias.grad.abs().min() > 0.0
