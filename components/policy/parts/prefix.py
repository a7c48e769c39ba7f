"""A language model of which only the keys and values are wanted, for an expert that looks at them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from components.policy.parts.masks import Rule, additive, attention_mask, positions_of
from components.policy.parts.rotary import turned
from components.policy.parts.segments import KeysValues, Segment
from components.policy.parts.trunk import Trunk


class LastKeys(nn.Module):
    """What remains of a last layer whose output nobody reads: its norm, keys and values."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width = config.num_key_value_heads * config.head_dim
        self.head_width = config.head_dim
        self.norm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.key, self.value = (nn.Linear(config.hidden_size, width, bias=False) for _ in range(2))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, W] -> keys, not yet turned by their place, and values [B, heads, L, head width]."""
        normed = self.norm(hidden)
        key, value = (made(normed).unflatten(2, (-1, self.head_width)) for made in (self.key, self.value))
        return key.transpose(1, 2), value.transpose(1, 2)


class PrefixDecoder(Trunk):
    """Llama with as many layers as `config` says; `cache` holds all of them.

    The hidden states that it gives are those that go into the last layer. What follows its keys and values, and the
    norm behind it, is not built: no gradient would ever come to it.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.width = int(config.hidden_size)
        whole = config.to_dict() | {"num_hidden_layers": config.num_hidden_layers - 1}
        self.model: Any = LlamaModel(LlamaConfig.from_dict(whole))
        self.model.norm = nn.Identity()
        self.last = LastKeys(config)

    def embed(self, tokens: Tensor) -> Tensor:
        embeds: Tensor = self.model.get_input_embeddings()(tokens)
        return embeds

    def forward(self, segments: Sequence[Segment], rules: Sequence[Rule]) -> tuple[list[Tensor], KeysValues]:
        embeds = torch.cat([one.embeds for one in segments], dim=1)
        places = positions_of(torch.cat([one.seen for one in segments], dim=1))
        cache: Any = DynamicCache()
        made = self.model(
            inputs_embeds=embeds,
            attention_mask=additive(attention_mask(segments, rules), embeds.dtype),
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = made.last_hidden_state
        key, value = self.last(hidden)
        last = turned(key, self.model.rotary_emb(hidden, places)), value
        parts = list(hidden.split([one.embeds.shape[1] for one in segments], dim=1))
        return parts, (*((layer.keys, layer.values) for layer in cache.layers), last)
