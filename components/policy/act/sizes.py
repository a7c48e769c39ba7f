"""How large an ACT is, and the constants of its training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActSize:
    """The defaults are those of the published ACT, and of LeRobot's.

    `width`: of tokens; `feed`: hidden width between two attentions; `channels`: of the first stage of the ResNet;
    `decoder_layers`: the published code asks for seven and by a slip uses the output of the first only, so that all
    published results are those of one; `kl_weight`: of the divergence, beside the mean absolute error.
    """

    width: int = 512
    heads: int = 8
    feed: int = 3200
    encoder_layers: int = 4
    decoder_layers: int = 1
    latent_layers: int = 4
    latent: int = 32
    dropout: float = 0.1
    channels: int = 64
    kl_weight: float = 10.0


FULL = ActSize()
# For one core.
SMALL = ActSize(width=128, heads=4, feed=512, channels=32)
