"""ResNet-18 (He et al. 2016) without its classifier, with batch normalisation that stands still or another norm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCKS = 2
_STAGES = 4
_EPS = 1e-5


class FrozenNorm(nn.Module):
    """Batch normalisation by statistics that never change: a scale and a shift a channel. Buffers, not parameters."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, [C] each."""
        scale = self.weight * (self.running_var + _EPS).rsqrt()
        return scale, self.bias - self.running_mean * scale


def group_norm(channels: int) -> nn.GroupNorm:
    """16 channels a group, as Diffusion Policy has it (Chi et al. 2023)."""
    return nn.GroupNorm(max(1, channels // 16), channels)


def convolve(features: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """Convolution and norm; a frozen one in the same pass: the scale goes into the weights, the shift is a bias."""
    assert isinstance(conv, nn.Conv2d)
    if not isinstance(norm, FrozenNorm):
        normed: Tensor = norm(conv(features))
        return normed
    scale, shift = norm.affine()
    return functional.conv2d(features, conv.weight * scale[:, None, None, None], shift, conv.stride, conv.padding)


class Block(nn.Module):
    """Two 3x3 convolutions and a way around them."""

    def __init__(self, channels_in: int, channels: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels_in, channels, 3, stride), norm(channels)
        self.conv2, self.bn2 = _conv(channels, channels, 3, 1), norm(channels)
        changed = stride != 1 or channels_in != channels
        self.downsample = nn.ModuleList([_conv(channels_in, channels, 1, stride), norm(channels)] if changed else [])

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, channels, H / stride, W / stride]."""
        around = features
        if self.downsample:
            around = convolve(features, *self.downsample)
        out = functional.relu(convolve(features, self.conv1, self.bn1), inplace=True)
        return functional.relu(convolve(out, self.conv2, self.bn2).add_(around), inplace=True)


class ResNet18(nn.Module):
    """Names of weights and buffers are torchvision's, so that its weights fit.

    `channels`: of the first stage; `norm`: makes the norm of so many channels.
    """

    def __init__(self, channels: int = 64, norm: Callable[[int], nn.Module] = FrozenNorm) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, channels, 7, 2), norm(channels)
        width = channels
        for stage in range(_STAGES):
            wider, stride = channels << stage, 1 if stage == 0 else 2
            blocks = [
                Block(width if block == 0 else wider, wider, stride if block == 0 else 1, norm)
                for block in range(_BLOCKS)
            ]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            width = wider
        self.dim = width

    def forward(self, images: Tensor) -> Tensor:
        """float32 [N, 3, H, W], fastest in channels_last -> [N, dim, H / 32, W / 32]."""
        out = functional.relu(convolve(images, self.conv1, self.bn1), inplace=True)
        out = functional.max_pool2d(out, 3, 2, 1)
        for stage in range(_STAGES):
            out = getattr(self, f"layer{stage + 1}")(out)
        return out


def _conv(channels_in: int, channels: int, kernel: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    # The layout of the images: weights, gradients and features then meet without a copy.
    return conv.to(memory_format=torch.channels_last)
