"""A foreign trainer in the place of ours: one run of its command a seed, with the same inputs, record and lineage."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from components.core.files import digest_json, write_text
from components.core.params import Train
from components.core.records import write_record
from components.core.train_params import External
from components.core.workspace import Workspace
from components.policy.external import DECLARATION_NAME, Declaration, external_digest
from components.train.external_left import take_over, validations
from components.train.external_run import ENDED, place_of, run_command
from components.train.external_told import code_digests, fill, write_told
from components.train.inputs import Inputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Foreign:
    """What came of one seed. `validations`: {"step", "loss", "val_loss"} in order of steps, the declared ones last;
    `seconds`: of the command, and of looking through what it left.
    """

    name: str
    digest: str
    validations: list[dict[str, float]]
    steps: int
    seconds: float

    @property
    def policy_row(self) -> dict[str, float]:
        """The validation of the policy that was left."""
        return self.validations[-1]

    def journal_fields(self) -> dict[str, str | float]:
        fields: dict[str, str | float] = {"name": self.name, "checkpoint": self.digest, "steps": self.steps}
        return fields | {"duration_s": round(self.seconds, 3)}


def train_external(
    workspace: Workspace, params: Train, external: External, inputs: Inputs, folder: Path
) -> list[Foreign]:
    """Runs `external` for every seed, one after the other, each into `folder/seed-<n>`.

    What a command leaves is kept until `external_run.forget` is called, so that neither an error in a
    declaration nor a failure of the next seed costs a training. Raises `StageFailed` where the command fails, and what
    `take_over` raises where it leaves something else than was asked for.
    """
    code = code_digests(external, workspace.root)
    return [_train(workspace, params, external, code, inputs, folder, seed) for seed in params.seeds]


def _train(
    workspace: Workspace,
    params: Train,
    external: External,
    code: dict[str, str],
    inputs: Inputs,
    folder: Path,
    seed: int,
) -> Foreign:
    name, began = f"seed-{seed}", time.perf_counter()
    follows_from = {"params": params.model_dump(mode="json"), "inputs": inputs.digests, "code": code, "seed": seed}
    place = place_of(workspace, name, digest_json(follows_from))
    out = (place / "out").resolve()
    if not (place / ENDED).is_file():
        out.mkdir(parents=True, exist_ok=True)
        # A declaration of a run before must not speak for this one.
        (out / DECLARATION_NAME).unlink(missing_ok=True)
        told = write_told(place.resolve() / "told", out, inputs, params, external, seed)
        run_command(fill(external.command, told), cwd=workspace.root, log=place / "trainer.log", name=name)
    (folder / name).mkdir()
    declared, fit = take_over(out, folder / name, inputs, seed=seed)
    write_text(place / ENDED, "")
    log.info("%-10s by %s %s, whose statistics the data %s", name, declared.framework, declared.framework_version, fit)
    return _finish(folder / name, declared, params, code, inputs, time.perf_counter() - began)


def _finish(
    folder: Path, declared: Declaration, params: Train, code: dict[str, str], inputs: Inputs, seconds: float
) -> Foreign:
    inputs.episodes.to_parquet(folder / "episodes.parquet", index=False)
    digest = external_digest(folder)
    about = {"framework": declared.framework, "framework_version": declared.framework_version, "code": code}
    record = inputs.record(
        digest,
        params,
        more_inputs={"code": digest_json(code)} if code else {},
        counts={**declared.metrics, "steps": declared.steps},
        attrs={
            "name": folder.name,
            "seed": declared.seed,
            "blind": False,
            "preset": declared.preset,
            "external": about,
        },
    )
    write_record(folder, record)
    return Foreign(folder.name, digest, validations(folder, declared), declared.steps, seconds)
