"""Feature-wise linear modulation (Perez et al. 2018): a sentence scales and shifts the channels of a map."""

from __future__ import annotations

from torch import Tensor, nn


class Film(nn.Module):
    """(1 + scale) * features + shift, both linear in the sentence and zero at first: a new layer changes nothing.

    That is what lets RT-1 put it between the layers of a trained network (Brohan et al. 2022, section 5.1).
    """

    def __init__(self, text_dim: int, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Linear(text_dim, channels), nn.Linear(text_dim, channels)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        """features [N, channels, h, w], sentence [N, text_dim] -> [N, channels, h, w]."""
        scale, shift = self.scale(sentence)[:, :, None, None], self.shift(sentence)[:, :, None, None]
        return (1.0 + scale) * features + shift
