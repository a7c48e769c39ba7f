from __future__ import annotations

import torch

from components.policy.parts.blocks import BlockTrunk
from components.policy.parts.resampler import Latents
from components.policy.parts.segments import TEXT
from components.policy.parts.words import OwnWords

TRUNK = BlockTrunk(8, [])
TOKENS = torch.tensor([[2, 3, 0, 0], [0, 0, 0, 0]])


def made(*, latents: bool = False) -> OwnWords:
    torch.manual_seed(1)
    return OwnWords(5, 4, 8, latents=Latents(8, 3, heads=2, head_width=4) if latents else None).eval()


def test_a_word_is_a_token_and_padding_is_not_seen():
    segment = made()(TOKENS, TRUNK)
    assert (segment.name, segment.embeds.shape) == (TEXT, (2, 4, 8))
    assert segment.seen.tolist() == [[True, True, False, False], [False] * 4]


def test_the_order_of_words_counts():
    words = made(latents=True)
    there, back = (words(torch.tensor([[*order, 0, 0]]), TRUNK).embeds for order in ([2, 3], [3, 2]))
    assert not torch.allclose(there, back)


def test_latents_read_the_words_and_no_padding():
    words = made(latents=True)
    before = words(TOKENS, TRUNK)
    assert before.embeds.shape == (2, 3, 8)
    assert before.seen.tolist() == [[True] * 3, [False] * 3]
    with torch.no_grad():
        words.table.weight[0] = 9.0
        words.places[2:] = 9.0
    torch.testing.assert_close(words(TOKENS, TRUNK).embeds, before.embeds)


def test_its_rows_are_there_to_grow():
    assert set(OwnWords.rows) == {name for name, _ in made().named_parameters()}
