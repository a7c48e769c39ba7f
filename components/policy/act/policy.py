"""ACT, put together."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policy.act.latent import LatentEncoder, divergence, sample
from components.policy.act.positions import across
from components.policy.act.resnet import ResNet18
from components.policy.act.sizes import FULL, SMALL, ActSize
from components.policy.act.transformer import DecoderLayer, EncoderLayer, begin
from components.policy.adapters import Adapters
from components.policy.dense import Dense
from components.policy.losses import Loss
from components.policy.shape import Shape

# Mean and standard deviation of ImageNet, in bytes: what ResNets are usually trained on.
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
# By how much the ResNet makes a side smaller.
_STRIDE = 32


class ActPolicy(nn.Module):
    """Action Chunking with Transformers (Zhao et al. 2023).

    One ResNet-18 for all cameras, an encoder over latent, state and every place of every image, a decoder with one
    query an action. The latent is what a second encoder reads from the actions while training, and zero afterwards.
    The instruction is taken and not looked at, `wordless` or not. `blind`: nor are the images.
    """

    adapters = Adapters(
        state=("state", "latent_encoder.state"), action=("head", "latent_encoder.action"), rows=("queries",)
    )
    positions: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, shape: Shape, size: ActSize, *, blind: bool = False, wordless: bool = False) -> None:
        super().__init__()
        action_dim, state_dim, chunk = shape.action_dim, shape.state_dim, shape.chunk
        side = -(-shape.image_px // _STRIDE)
        self.blind, self.wordless, self.shape, self.size = blind, wordless, shape, size
        self.latent_encoder = LatentEncoder(size, state_dim, action_dim, chunk)
        self.eyes = None if blind else ResNet18(size.channels)
        self.see = None if self.eyes is None else Dense(self.eyes.dim, size.width)
        self.latent, self.state = Dense(size.latent, size.width), Dense(state_dim, size.width)
        self.encoder = nn.ModuleList(EncoderLayer(size) for _ in range(size.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(size) for _ in range(size.decoder_layers))
        self.norm = nn.LayerNorm(size.width)
        self.head = Dense(size.width, action_dim)
        # Places of the latent and the state, and of every action.
        self.places, self.queries = (nn.Parameter(torch.randn(count, size.width)) for count in (2, chunk))
        looked = across(side, side, size.width)
        for name, value in (("positions", looked), ("mean", torch.tensor(_MEAN)), ("std", torch.tensor(_STD))):
            self.register_buffer(name, value, persistent=False)
        for layers in (self.encoder, self.decoder):
            begin(layers)

    def forward(
        self, images: Tensor, state: Tensor, tokens: Tensor, actions: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """images uint8 [B, K, px, px, 3], state float32 [B, S], tokens int64 [B, T] -> float32 [B, H, A].

        State and actions are normalised; images are scaled here. With the actions [B, H, A] that followed and their
        mask [B, H] (0: past the end): also mean and log-variance [B, latent] of what they say of the latent.
        """
        self.shape.require_inputs(images, state, tokens)
        if actions is None or mask is None:
            return self.decode(images, state, state.new_zeros(state.shape[0], self.size.latent))
        mean, log_variance = self.latent_encoder(state, actions, mask)
        return self.decode(images, state, sample(mean, log_variance)), mean, log_variance

    def decode(self, images: Tensor, state: Tensor, latent: Tensor) -> Tensor:
        """The chunk [B, H, A] that follows in the style that `latent` [B, latent] says."""
        seen = torch.stack([self.latent(latent), self.state(state)], dim=1)
        positions = self.places
        if self.eyes is not None and self.see is not None:
            seen = torch.cat([seen, self.see(self._look(images, self.eyes))], dim=1)
            # The same for all cameras, as published.
            positions = torch.cat([positions, self.positions.repeat(images.shape[1], 1)])
        for layer in self.encoder:
            seen = layer(seen, positions)
        actions = torch.zeros_like(self.queries).expand(state.shape[0], -1, -1)
        for layer in self.decoder:
            actions = layer(actions, self.queries, seen, positions)
        return self.head(self.norm(actions))

    def training_loss(self, batch: dict[str, Tensor]) -> Loss:
        """Mean absolute error of the actions, and the divergence of the latent (`components.policy.losses`)."""
        actions, mask = batch["actions"], batch["mask"]
        predicted, mean, log_variance = self(batch["images"], batch["state"], batch["tokens"], actions, mask)
        counted, apart = mask, divergence(mean.float(), log_variance.float())
        if "weight" in batch:
            counted, apart = mask * batch["weight"].unsqueeze(1), apart * batch["weight"]
        error = (functional.l1_loss(predicted.float(), actions, reduction="none") * counted.unsqueeze(2)).sum()
        count, apart = mask.sum() * actions.shape[2], apart.mean()
        parts = {"l1": (error / count).detach(), "kl": apart.detach()}
        return Loss(error + self.size.kl_weight * apart * count, count, parts)

    def _look(self, images: Tensor, eyes: ResNet18) -> Tensor:
        """uint8 [B, K, px, px, 3] -> [B, K * places, dim], all cameras in one pass."""
        scaled = (images.flatten(0, 1).to(torch.float32) - self.mean) / self.std
        # A permuted view of [N, H, W, C] is channels_last already: the fast layout, without a copy.
        features = eyes(scaled.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(1, 2)
        return features.unflatten(0, images.shape[:2]).flatten(1, 2)


def published(shape: Shape, *, blind: bool = False, wordless: bool = False) -> ActPolicy:
    return ActPolicy(shape, FULL, blind=blind, wordless=wordless)


def small(shape: Shape, *, blind: bool = False, wordless: bool = False) -> ActPolicy:
    """For one core."""
    return ActPolicy(shape, SMALL, blind=blind, wordless=wordless)
