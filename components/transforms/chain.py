"""The one transform chain: from what a robot sees to the policy's tensors, and from its answer to safe actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.core.spec import Embodiment
from components.transforms.quantiles import Quantiles
from components.transforms.steps import (
    Bounds,
    CameraOrder,
    Clamp,
    Floats,
    Images,
    Normalise,
    ResizeImages,
    WordTokens,
    length_for,
    require_finite,
    vocabulary_of,
)


@dataclass(frozen=True)
class PolicyTransforms:
    """Bound to one embodiment. B: batch, K: cameras, S: state, T: text, H: horizon, A: action dimensions.

    `actions`: what becomes [-1, 1], where that is not the limits of the embodiment; targets beyond it are cut.
    """

    embodiment: Embodiment
    state: Normalise | Quantiles
    tokens: WordTokens
    actions: Bounds | None = None

    def __post_init__(self) -> None:
        found, expected = self.state.dim, len(self.embodiment.observation.state_names)
        if found != expected:
            raise ContractError(f"statistics of {found} state dimensions, {self.embodiment.name} has {expected}")
        for group in self.embodiment.action.groups:
            # A dataset holds places for such a group; taken for steps by a robot they would be dangerous.
            if group.representation == "chunk_relative":
                raise ContractError(
                    f"group {group.name!r}: representation is 'chunk_relative', a policy gives absolute or step_delta"
                )
        if self.actions is not None and len(self.actions.low) != self.embodiment.action.dim:
            raise ContractError(
                f"statistics of {len(self.actions.low)} action dimensions, {self.embodiment.name} has "
                f"{self.embodiment.action.dim}"
            )
        _ = self._bounds  # limits that make no sense are refused here, not at the first action

    @classmethod
    def fit(
        cls,
        embodiment: Embodiment,
        state_mean: Sequence[float] | npt.NDArray[np.floating],
        state_std: Sequence[float] | npt.NDArray[np.floating],
        instructions: Sequence[str],
        text_len: int | None = None,
        *,
        wordless: bool = False,
    ) -> PolicyTransforms:
        """From the statistics [S] and the instructions of the training episodes.

        `text_len`: words that an instruction may have, by default what the longest needs (`length_for`); a longer one
        is refused. `wordless`: one without a word is not.
        """
        mean, std = (tuple(float(value) for value in values) for values in (state_mean, state_std))
        tokens = fit_tokens(instructions, text_len, wordless=wordless)
        return cls(embodiment, Normalise(mean, std), tokens)

    @property
    def vocab_size(self) -> int:
        return self.tokens.vocab_size

    @property
    def text_len(self) -> int:
        return self.tokens.length

    def inputs(
        self, images: Mapping[str, Images], state: npt.NDArray[np.floating], instructions: Sequence[str]
    ) -> dict[str, npt.NDArray]:
        """One batch of observations as the policy takes it.

        images {camera: uint8 [B, H, W, 3] RGB}, state [B, S] physical, B instructions ->
        {"images": uint8 [B, K, px, px, 3], "state": float32 [B, S], "tokens": int64 [B, T]}.
        Raises `ContractError` naming the camera or state dimension that does not fit.
        """
        batch = len(instructions)
        self._check_images(images, batch)
        names = self.embodiment.observation.state_names
        state = np.asarray(state)
        if state.shape != (batch, len(names)):
            raise ContractError(f"state has shape {list(state.shape)}, expected {[batch, len(names)]}")
        require_finite("state", state, names)
        normalised = self.state.apply(state)
        require_finite("normalised state", normalised, names)
        resized = {camera: self._resize.apply(images[camera]) for camera in self._order.cameras}
        return {
            "images": self._order.apply(resized),
            "state": normalised,
            "tokens": self.tokens.apply(instructions),
        }

    def outputs(self, actions_normalised: npt.NDArray[np.floating]) -> Floats:
        """float [B, H, A] from the policy -> float32 [B, H, A] physical, within the limits; NaN or infinity refused."""
        actions = self._checked_actions(actions_normalised)
        # Cut before scaling: a wild network must not overflow the arithmetic of the bounds.
        return self._clamp.apply(self._bounds.inverse(np.clip(actions, -1.0, 1.0)))

    def normalise_actions(self, actions: npt.NDArray[np.floating]) -> Floats:
        """Physical actions [..., A] -> float32 training targets [..., A], cut to the limits first."""
        targets = self._bounds.apply(self._clamp.apply(self._checked_actions(actions)))
        return targets if self.actions is None else np.clip(targets, -1.0, 1.0)

    def save(self, folder: Path) -> None:
        """Writes transforms.json, stats.safetensors and tokenizer.json."""
        from components.transforms.store import save_transforms

        save_transforms(self, folder)

    @classmethod
    def load(cls, folder: Path) -> PolicyTransforms:
        """Inverse of `save`. Raises `ContractError` naming the file that is missing or does not fit."""
        from components.transforms.store import load_transforms

        return load_transforms(folder)

    @cached_property
    def _resize(self) -> ResizeImages:
        return ResizeImages(self.embodiment.observation.image_px)

    @cached_property
    def _order(self) -> CameraOrder:
        return CameraOrder(self.embodiment.observation.cameras)

    @cached_property
    def _bounds(self) -> Bounds:
        return self.actions or Bounds(self.embodiment.action.low, self.embodiment.action.high)

    @cached_property
    def _clamp(self) -> Clamp:
        return Clamp(self.embodiment.action.low, self.embodiment.action.high)

    def _checked_actions(self, actions: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        actions, names = np.asarray(actions), self.embodiment.action.names
        if actions.ndim == 0 or actions.shape[-1] != len(names):
            raise ContractError(f"actions have shape {list(actions.shape)}, the last axis must be {len(names)}")
        require_finite("action", actions, names)
        return actions

    def _check_images(self, images: Mapping[str, Images], batch: int) -> None:
        cameras = self.embodiment.observation.cameras
        for camera in cameras:
            if camera not in images:
                raise ContractError(f"no image of camera {camera!r}; there are {', '.join(sorted(images)) or 'none'}")
            image = images[camera]
            if image.dtype != np.uint8 or not _is_batch_of_images(image.shape, batch):
                raise ContractError(
                    f"camera {camera!r} gives {image.dtype} {list(image.shape)}, expected uint8 [{batch}, H, W, 3]"
                )
        if extra := sorted(set(images) - set(cameras)):
            raise ContractError(f"camera {extra[0]!r} is unknown; the policy takes {', '.join(cameras)}")


def _is_batch_of_images(shape: tuple[int, ...], batch: int) -> bool:
    return len(shape) == 4 and shape[0] == batch and min(shape[1:3]) > 0 and shape[3] == 3


def fit_tokens(
    instructions: Sequence[str], text_len: int | None = None, known: Sequence[str] = (), *, wordless: bool = False
) -> WordTokens:
    """The words of `instructions`; `known` ones come first and keep their numbers.

    `text_len`: words that an instruction may have, by default what the longest needs; a longer one is refused.
    """
    new = [word for word in vocabulary_of(instructions) if word not in set(known)]
    tokens = WordTokens((*known, *new), length_for(instructions) if text_len is None else text_len, wordless=wordless)
    tokens.apply(sorted(set(instructions)))
    return tokens
