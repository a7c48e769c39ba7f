"""An action expert: Gemma's layers, narrower than those of the language model whose keys and values they attend to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GemmaConfig, GemmaModel

from components.policy.parts.masks import additive
from components.policy.parts.segments import KeysValues


class AdaptiveNorm(nn.Module):
    """RMS norm whose scale, shift and gate come from a condition (π0.5; zero at first, as in Peebles and Xie 2023).

    `gate`: what the layer that was normed is multiplied by before it is added.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps, self.dense = eps, nn.Linear(width, 3 * width)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """hidden [B, L, W], condition [B, W] (or [1, W], the same for all) -> normed and gate [B, 1, W]."""
        scale, shift, gate = self.dense(condition).unsqueeze(1).chunk(3, dim=2)
        exact = hidden.float()
        normed = exact * torch.rsqrt(exact.square().mean(dim=2, keepdim=True) + self.eps)
        return (normed * (1.0 + scale) + shift).to(hidden.dtype), gate


@dataclass(frozen=True, eq=False)
class Ahead:
    """What tokens meet that come after a prefix: its keys and values, who sees what of it and of them, their places.

    `mask`: added to scores, [B, 1, 1 or N, L + N]; `rotation`: cosines and sines [B, N, head width].
    """

    cache: KeysValues
    mask: Tensor
    rotation: tuple[Tensor, Tensor]

    def repeated(self, times: int) -> Ahead:
        """The same for so many copies of the batch, one after the other."""
        if times == 1:
            return self
        cache = tuple((keys.repeat(times, 1, 1, 1), values.repeat(times, 1, 1, 1)) for keys, values in self.cache)
        cosines, sines = self.rotation
        return Ahead(cache, self.mask.repeat(times, 1, 1, 1), (cosines.repeat(times, 1, 1), sines.repeat(times, 1, 1)))


class ActionExpert(nn.Module):
    """Gemma without a table of words; as many layers, key heads and numbers a head as what it attends to has.

    `adaptive`: with `AdaptiveNorm` in the place of every norm, so that `forward` takes a condition.
    """

    def __init__(self, config: GemmaConfig, *, adaptive: bool = False) -> None:
        super().__init__()
        self.adaptive, self.width = adaptive, int(config.hidden_size)
        self.model: Any = GemmaModel(config)
        del self.model.embed_tokens
        if adaptive:
            for layer in self.model.layers:
                layer.input_layernorm = AdaptiveNorm(self.width, config.rms_norm_eps)
                layer.post_attention_layernorm = AdaptiveNorm(self.width, config.rms_norm_eps)
            self.model.norm = AdaptiveNorm(self.width, config.rms_norm_eps)

    def ahead(self, cache: KeysValues, seen: Tensor, count: int) -> Ahead:
        """For `count` tokens that see one another and what `seen` bool [B, L] says of `cache`; padding has no place."""
        own = torch.ones(seen.shape[0], count, dtype=torch.bool, device=seen.device)
        positions = seen.sum(dim=1, keepdim=True) + torch.arange(count, device=seen.device)
        mask = additive(torch.cat([seen, own], dim=1)[:, None, None], cache[0][0].dtype)
        # Only type and device of the first argument count.
        return Ahead(cache, mask, self.model.rotary_emb(cache[0][0], position_ids=positions))

    def forward(self, embeds: Tensor, ahead: Ahead, condition: Tensor | None = None) -> tuple[Tensor, KeysValues]:
        """embeds [B, N, W] and condition [B or 1, W] -> hidden states [B, N, W] and the longer cache."""
        grown = _Grown(ahead.cache)
        met = {"attention_mask": ahead.mask, "position_embeddings": ahead.rotation, "past_key_values": grown}
        hidden = embeds
        for layer in self.model.layers:
            hidden = layer(hidden, **met) if condition is None else _gated(layer, hidden, condition, met)
        hidden = self.model.norm(hidden) if condition is None else self.model.norm(hidden, condition)[0]
        return hidden, tuple(grown.layers)


def _gated(layer: Any, hidden: Tensor, condition: Tensor, met: dict[str, Any]) -> Tensor:
    """A layer of Gemma whose norms are adaptive."""
    normed, gate = layer.input_layernorm(hidden, condition)
    hidden = hidden + gate * layer.self_attn(normed, **met)[0]
    normed, gate = layer.post_attention_layernorm(hidden, condition)
    return hidden + gate * layer.mlp(normed)


class _Grown:
    """What a layer of transformers takes for a cache: gives keys and values after those that were there.

    Those that were there are not changed, so every step of a flow can go on from the same ones.
    """

    def __init__(self, before: KeysValues) -> None:
        self.before = before
        self.layers: list[tuple[Tensor, Tensor]] = []

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        old_keys, old_values = self.before[layer]
        self.layers.append((torch.cat([old_keys, keys], dim=2), torch.cat([old_values, values], dim=2)))
        return self.layers[-1]
