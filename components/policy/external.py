"""A policy that a foreign trainer made: what it declares about itself and which files it consists of. No torch."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from components.bundle.contract import Contract
from components.bundle.write import GRAPH_NAME
from components.core.errors import ContractError, RecordError
from components.core.files import digest_json, read_json, sha256_file, tree_manifest
from components.core.section import Positive, Section
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import Normalise
from components.transforms.store import STATS_NAME, TOKENIZER_NAME, TRANSFORMS_NAME

DECLARATION_NAME = "external.json"
STATISTICS_NAME = "stats.json"
SAMPLES_NAME = "samples.safetensors"
# Where the framework's own files lie in a checkpoint folder of ours.
CHECKPOINT_FOLDER = "checkpoint"
# With the framework's own files: everything that the digest covers.
DIGEST_FILES = (
    DECLARATION_NAME,
    STATISTICS_NAME,
    SAMPLES_NAME,
    GRAPH_NAME,
    TRANSFORMS_NAME,
    STATS_NAME,
    TOKENIZER_NAME,
)

# What MLflow takes as well.
_METRIC = re.compile(r"[A-Za-z0-9_./-]+")

Name = Annotated[str, Field(min_length=1)]


class Declaration(Section):
    """The file external.json. `kind`: how actions come about; `runtime`: what gave the sample actions."""

    framework: Name
    framework_version: Name
    # The architecture, in the framework's words.
    preset: Name
    kind: Name = "external"
    runtime: str = ""
    seed: int
    steps: Positive
    # Actions in one answer.
    chunk: Positive
    # Digest of the dataset, as the file of episodes says it.
    dataset: Name
    action_names: tuple[str, ...]
    # Folder of the framework's own files, relative to {out}.
    checkpoint: Name
    # Finite numbers; "loss" and "val_loss" must be there, in the trainer's own terms.
    metrics: dict[str, float]
    # JSON lines with a "step" each, relative to {out}.
    metrics_file: str = ""

    @field_validator("metrics")
    @classmethod
    def _numbers(cls, value: dict[str, float]) -> dict[str, float]:
        for name in ("loss", "val_loss"):
            if name not in value:
                raise ValueError(f"{name} is missing")
        for name, number in value.items():
            if not math.isfinite(number):
                raise ValueError(f"{name} is {number}")
            if not _METRIC.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a metric: letters, digits and _ - . / only")
        return value

    @property
    def reference(self) -> str:
        """What parity is measured against, in words."""
        return self.runtime or self.framework


def read_declaration(folder: Path) -> Declaration:
    """Raises `RecordError` naming the file, and every field that is missing, unknown or wrong."""
    path = folder / DECLARATION_NAME
    if not path.is_file():
        raise RecordError(
            f"no {DECLARATION_NAME}", where=str(folder), hint="A trainer leaves it last, when all is there"
        )
    try:
        return Declaration.model_validate(read_json(path))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise RecordError(problems, where=str(path), hint="docs/training/external.md lists the fields") from error
    except ValueError as error:
        raise RecordError(f"not JSON: {error}", where=str(path)) from error


def is_external(folder: Path) -> bool:
    return (folder / DECLARATION_NAME).is_file()


def external_digest(folder: Path) -> str:
    """sha256 over the digests of all files that a foreign trainer's policy consists of.

    Raises `RecordError` for a file that is missing.
    """
    for name in DIGEST_FILES:
        if not (folder / name).is_file():
            raise RecordError(f"no {name}", where=str(folder), hint="Run the stage train again")
    own = {name: sha256_file(folder / name) for name in DIGEST_FILES}
    theirs = tree_manifest(folder / CHECKPOINT_FOLDER)
    return digest_json(own | {f"{CHECKPOINT_FOLDER}/{name}": digest for name, digest in theirs.items()})


def plain_transforms(fitted: PolicyTransforms) -> PolicyTransforms:
    """The chain for a graph that normalises by itself: the words of `fitted`, and states in physical units."""
    body = fitted.embodiment
    dims = len(body.observation.state_names)
    return PolicyTransforms(body, Normalise((0.0,) * dims, (1.0,) * dims), fitted.tokens)


def external_contract(declared: Declaration, transforms: PolicyTransforms, *, execute: int, opset: int) -> Contract:
    """Raises `ContractError` where the declared actions are not those of the embodiment, or an answer is too short."""
    body = transforms.embodiment
    if declared.action_names != body.action.names:
        raise ContractError(
            f"action_names is {', '.join(declared.action_names) or 'empty'}, "
            f"{body.name} has {', '.join(body.action.names)}",
            where=DECLARATION_NAME,
        )
    return Contract(body, declared.chunk, execute, declared.kind, declared.preset, opset, transforms.text_len)
