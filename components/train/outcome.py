"""What became of a job: as numbers, as the record of its checkpoint, and as the mark that it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.core.files import read_json, write_json
from components.core.params import Train
from components.core.records import Record
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.policies import BESIDE

ALL_STEPS = "all steps"
EARLY_STOP = "early stop"


@dataclass(frozen=True)
class Trained:
    """`validations`: {"step", "loss", "val_loss", "val_action_error"} in order of steps; `steps`: how many were taken,
    `ended_by`: why no more; `policy_step`: whose validation is that of the policy that was saved.

    `seconds`: of training steps since the last start, validation left out, `loading_seconds` of them between two steps,
    where the next batch is waited for and made, `steps_timed`: how many. `batch_flops`: of the forward and backward
    pass of one batch in one process; `mfu`: the share of its device's peak, None where either is unknown.
    """

    name: str
    digest: str
    validations: list[dict[str, float]]
    steps: int
    seconds: float
    loading_seconds: float
    steps_timed: int = 0
    policy_step: int = 0
    ended_by: str = ALL_STEPS
    batch_flops: int | None = None
    mfu: float | None = None

    def saved_as(self, digest: str) -> Trained:
        return replace(self, digest=digest)

    @property
    def policy_row(self) -> dict[str, float]:
        """The validation of the policy that was saved."""
        return next(row for row in self.validations if row["step"] == self.policy_step)


def mark_done(path: Path, one: Trained) -> None:
    """A job that has its mark is not trained again."""
    write_json(path, asdict(one))


def read_done(path: Path) -> Trained | None:
    """None where the job has no mark."""
    return Trained(**read_json(path)) if path.is_file() else None


def record_of(
    one: Trained, job: Job, inputs: Inputs, params: Train, shares: Mapping[str, float], folder: Path, digest: str
) -> Record:
    """The record of the checkpoint in `folder`, which holds no time.

    `shares`: of the parameters that trained, by phase. Another robot's says which job it shares its trunk with.
    """
    row, (_, mark, robot) = one.policy_row, folder.name.partition(BESIDE)
    return inputs.record(
        digest,
        params,
        counts={
            **{name: value for name, value in row.items() if name != "step"},
            "steps": one.policy_step,
            **shares,
        },
        attrs={
            "name": f"{job.name}{mark}{robot}",
            "seed": job.seed,
            "blind": job.blind,
            "wordless": job.wordless,
            "preset": params.preset,
            "ended_at": one.steps,
            "ended_by": one.ended_by,
            **({"trunk": job.name} if robot else {}),
        },
    )
