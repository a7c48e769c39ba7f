"""A language model of transformers as a trunk: Llama, Gemma, Qwen, SmolLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from components.policy.parts.masks import Rule, additive, attention_mask, positions_of
from components.policy.parts.segments import KeysValues, Segment
from components.policy.parts.trunk import Trunk


class Decoder(Trunk):
    """`model`: a decoder without its output layer, such as `LlamaModel`; its table of words is among its weights."""

    caches = True

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model: Any = model
        self.width = int(model.config.hidden_size)

    def embed(self, tokens: Tensor) -> Tensor:
        embeds: Tensor = self.model.get_input_embeddings()(tokens)
        return embeds

    def table(self) -> Tensor:
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def forward(self, segments: Sequence[Segment], rules: Sequence[Rule]) -> tuple[list[Tensor], KeysValues]:
        embeds = torch.cat([one.embeds for one in segments], dim=1)
        seen = torch.cat([one.seen for one in segments], dim=1)
        hidden, cache = self.extend(embeds, (), attention_mask(segments, rules), positions_of(seen))
        return list(hidden.split([one.embeds.shape[1] for one in segments], dim=1)), cache

    def extend(self, embeds: Tensor, cache: KeysValues, mask: Tensor, positions: Tensor) -> tuple[Tensor, KeysValues]:
        # A cache of transformers grows in place, so each call has its own.
        grown: Any = Cache(layers=[_Layer(*one) for one in cache]) if cache else DynamicCache()
        made = self.model(
            inputs_embeds=embeds,
            attention_mask=additive(mask, embeds.dtype),
            position_ids=positions,
            past_key_values=grown,
            use_cache=True,
        )
        return made.last_hidden_state, tuple((layer.keys, layer.values) for layer in grown.layers)


class _Layer(DynamicLayer):
    """One layer that begins with what was read.

    Transformers' own begins with a constant of no numbers, which the loop of an exported graph cannot hold.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.keys, self.values, self.is_initialized = keys, values, True
