"""Where the weights of `train.pretrained` lie, and whether they are those that were named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from components.core.errors import ComponentError, ParamsError, RecordError
from components.core.files import sha256_file
from components.core.params import Train
from components.core.train_params import PartWeights
from components.policy.bodies import Bodies
from components.policy.pretrained import load_part, parts_with_models

REPORT = "pretrained.json"
# What is asked of the hub: weights that hold no code, and what says how they are built.
_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True)
class Pretrained:
    """Weights of one part; `name`: as params say it, `folder`: where they lie on this machine."""

    part: str
    name: str
    folder: Path
    digest: str

    @property
    def role(self) -> str:
        """Its name among the inputs of a record."""
        return f"pretrained.{self.part}"


def read_pretrained(root: Path, params: Train) -> tuple[Pretrained, ...]:
    """The weights of `train.pretrained`, by part; a `path` is from `root`, the workspace.

    Raises `RecordError` for weights that are not those that the digest names, `ComponentError` for what is not there.
    """
    return tuple(
        _pinned(part, wanted, _folder(part, wanted, root, params)) for part, wanted in sorted(params.pretrained.items())
    )


def load_pretrained(
    policy: nn.Module, found: Sequence[Pretrained], *, lenient: bool = False
) -> dict[str, dict[str, Any]]:
    """Fills the parts of a policy, or of those of several robots; returns what became of each tensor, by part.

    `lenient`: leaves out a part that the policy lacks, as one without eyes does. Raises as
    `components.policy.pretrained.load_part` does.
    """
    # What robots share is one module: filled under the first, it is filled under all.
    policies = list(policy.policies) if isinstance(policy, Bodies) else [policy]
    reports: dict[str, dict[str, Any]] = {}
    for one in policies:
        for part in found:
            if lenient and part.part not in parts_with_models(one):
                continue
            report = load_part(one, part.part, part.folder, where=part.name)
            reports[part.part] = {"weights": part.name, "sha256": part.digest, **report.as_dict()}
    return reports


def weights_digest(folder: Path) -> str:
    """sha256 of the only file of weights; of several, of the lines that `sha256sum` says of them, by name."""
    digests = {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return _of_lines(digests)


def _of_lines(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(
        "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()
    ).hexdigest()


def _pinned(part: str, wanted: PartWeights, folder: Path) -> Pretrained:
    name = wanted.path or wanted.hub
    for needed in ("config.json", "*.safetensors"):
        if not any(folder.glob(needed)):
            raise ComponentError(
                f"weights of {part}: no {needed}",
                where=name,
                hint="They are a folder as `save_pretrained` of transformers writes it, with safetensors",
            )
    digest = weights_digest(folder)
    if not wanted.sha256:
        raise ParamsError(
            f"train.pretrained.{part} is not pinned, and what is not pinned cannot be reproduced",
            where=name,
            hint=f"If these weights are meant, add `sha256: {digest}`",
        )
    if digest != wanted.sha256:
        raise RecordError(
            f"its digest is {digest}, train.pretrained.{part} says {wanted.sha256}",
            where=name,
            hint="Bring back the weights that were meant, or name these",
        )
    return Pretrained(part, name, folder, digest)


def _folder(part: str, wanted: PartWeights, root: Path, params: Train) -> Path:
    if wanted.path:
        folder = root / wanted.path
        if not folder.is_dir():
            raise ComponentError(
                f"weights of {part}: no such folder",
                where=str(folder),
                hint=f"Put them there, or change train.pretrained.{part}.path",
            )
        return folder
    return _cached(part, wanted.hub, allow_download=params.allow_download)


def _cached(part: str, hub: str, *, allow_download: bool) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = hub.partition("@")
    try:
        found = snapshot_download(
            name, revision=revision or None, local_files_only=not allow_download, allow_patterns=list(_FILES)
        )
    except Exception as error:  # the hub's library has a class for each reason; a network has many more
        if allow_download:
            raise ComponentError(f"weights of {part}: cannot be fetched: {error}", where=hub) from error
        raise ComponentError(
            f"weights of {part}: not in the local cache, and nothing is downloaded unasked",
            where=hub,
            hint=f"Fetch them with `hf download {name}`, set train.allow_download, or give a folder as "
            f"train.pretrained.{part}.path",
        ) from error
    return Path(found)
