"""Instructions read by the encoder of T5 (Raffel et al. 2020) before the trunk sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from components.policy.parts.masks import additive
from components.policy.parts.segments import TEXT, Segment
from components.policy.parts.trunk import Trunk
from components.policy.parts.words import PADDING_ID, Words

# Of T5-base; its vocabulary is that of the dataset.
T5_BASE: dict[str, Any] = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12}


class T5Words(Words):
    """`size`: fields of `T5Config`; `width`: of the trunk. No token attends to padding, and every one to itself."""

    def __init__(self, vocab_size: int, width: int, size: dict[str, Any]) -> None:
        super().__init__()
        config = T5Config(vocab_size=vocab_size, dropout_rate=0.0, use_cache=False, pad_token_id=PADDING_ID, **size)
        # Its encoder alone: the model around it has the table of words under a second name.
        self.encoder: Any = T5EncoderModel(config).encoder
        self.projection = nn.Linear(config.d_model, width)

    def forward(self, tokens: Tensor, trunk: Trunk) -> Segment:
        seen = tokens != PADDING_ID
        itself = torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device)
        embeds = self.encoder.embed_tokens(tokens)
        mask = additive((seen[:, None, :] | itself)[:, None], embeds.dtype)
        read = self.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
        return Segment(TEXT, self.projection(read), seen)
