from __future__ import annotations

from typing import Any

import torch
from transformers import T5Config, T5EncoderModel

from components.policy.parts.no_trunk import NoTrunk
from components.policy.parts.t5_words import T5_BASE, T5Words

SIZE: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
TOKENS = torch.tensor([[5, 3, 0, 0], [7, 1, 4, 2], [0, 0, 0, 0]])


def made() -> T5Words:
    torch.manual_seed(1)
    return T5Words(9, 24, SIZE).eval()


def test_it_reads_as_the_encoder_of_transformers_does():
    words, theirs = made(), T5EncoderModel(T5Config(vocab_size=9, dropout_rate=0.0, **SIZE)).eval()
    theirs.load_state_dict({f"encoder.{name}": value for name, value in words.encoder.state_dict().items()} | {
        "shared.weight": words.encoder.embed_tokens.weight
    })  # fmt: skip
    with torch.no_grad():
        read = theirs(input_ids=TOKENS, attention_mask=(TOKENS != 0).long()).last_hidden_state
        segment = words(TOKENS, NoTrunk(24))
    torch.testing.assert_close(segment.embeds[:2][segment.seen[:2]], words.projection(read)[:2][segment.seen[:2]])
    assert torch.equal(segment.seen, TOKENS != 0)


def test_padding_is_not_read():
    words = made()
    with torch.no_grad():
        before = words(TOKENS, NoTrunk(24))
        words.encoder.embed_tokens.weight[0] += 5.0
        after = words(TOKENS, NoTrunk(24))
    torch.testing.assert_close(after.embeds[before.seen], before.embeds[before.seen])
    assert after.embeds.isfinite().all()


def test_the_table_of_words_has_one_name():
    tables = [name for name in made().state_dict() if "shared" in name or "embed_tokens" in name]
    assert tables == ["encoder.embed_tokens.weight"]


def test_t5_base_has_its_published_number_of_parameters():
    """Its encoder: 109,628,544 with a vocabulary of 32,128."""
    with torch.device("meta"):
        words = T5Words(32128, 768, T5_BASE)
    assert sum(weight.numel() for weight in words.encoder.parameters()) == 109_628_544
