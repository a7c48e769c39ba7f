"""Distillation: what another policy would have done is a second target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.bundle.bundle import Bundle, load_bundle
from components.bundle.contract import read_contract
from components.bundle.verify import verify
from components.core.errors import BundleError, ContractError, ParamsError
from components.core.pins import require_pinned
from components.core.spec import Embodiment, require_same
from components.core.train_params import Teacher
from components.transforms.chain import PolicyTransforms

_SETTING = "train.teacher"


@dataclass(frozen=True)
class TeacherPolicy:
    """A bundle that is asked what it would do, on onnxruntime and one thread. `chunk`: actions that the student has."""

    bundle: Bundle
    transforms: PolicyTransforms
    chunk: int

    def targets(
        self, images: npt.NDArray[np.uint8], state: npt.NDArray[np.floating], instructions: list[str]
    ) -> npt.NDArray[np.float32]:
        """images uint8 [B, K, H, W, 3], state [B, S] physical -> float32 [B, chunk, A], normalised as the student's."""
        cameras = self.transforms.embodiment.observation.cameras
        seen = {camera: images[:, place] for place, camera in enumerate(cameras)}
        try:
            actions = self.bundle.act(seen, state, instructions)
        except ContractError as error:
            raise ContractError(f"the teacher cannot answer: {error.message}", where=_SETTING) from error
        return self.transforms.normalise_actions(actions[:, : self.chunk])


def require_teacher(folder: Path, teacher: Teacher, body: Embodiment, chunk: int) -> str:
    """The digest of the bundle in `folder`, verified; the graph is not loaded yet.

    Raises `BundleError` for another bundle than the pinned one, `ContractError` for another embodiment, `ParamsError`
    where it looks less far ahead than the student.
    """
    digest = verify(folder)
    require_pinned(
        digest,
        teacher,
        setting=f"{_SETTING}.sha256",
        error=BundleError,
        where=str(folder),
        hint="Pin the bundle that is meant: the digest is the sha256 of its manifest.json",
    )
    contract = read_contract(folder)
    require_same(body, contract.embodiment, where=f"{_SETTING} {folder}")
    if contract.chunk < chunk:
        raise ParamsError(
            f"{_SETTING}: the teacher answers {contract.chunk} actions, train.chunk is {chunk}",
            where=str(folder),
            hint=f"Set train.chunk to at most {contract.chunk}",
        )
    return digest


def load_teacher(folder: Path, transforms: PolicyTransforms, chunk: int) -> TeacherPolicy:
    """Loads it in the process that trains: threads of onnxruntime do not survive a fork."""
    return TeacherPolicy(load_bundle(folder, expect=transforms.embodiment), transforms, chunk)
