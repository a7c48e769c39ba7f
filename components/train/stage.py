"""The stage `train`: every job of the plan, from inputs to data/train."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.files import replace_dir, write_json, write_text
from components.core.params import Params, Train
from components.core.training_run import keep_speed, write_about
from components.core.workspace import Workspace
from components.train.distributed import agreed, is_first, launched_from_outside
from components.train.external_run import forget
from components.train.external_told import check_external
from components.train.inputs import Inputs, load_inputs
from components.train.jobs import Job, plan_jobs
from components.train.outcome import Trained
from components.train.overview import write_overview
from components.train.placement import placement_of
from components.train.ranks import become_one_of_several
from components.train.together import train_all, train_as_one_of_several, train_in_turn
from components.train.work import collect, run_key, work_folder

if TYPE_CHECKING:
    from components.train.external import Foreign

log = logging.getLogger(__name__)


def run(workspace: Workspace, params: Params) -> None:
    """Makes data/train. A run that was killed is run again: it goes on from its last states and ends with the same."""
    began, placement = time.perf_counter(), placement_of(params.train)
    is_one_of_several = placement.world > 1 and launched_from_outside() is not None
    if is_one_of_several:
        become_one_of_several(placement)
    if params.train.external is not None:
        check_external(params.train.external, workspace.root)
    jobs, inputs = plan_jobs(params.train), _load_in_turn(workspace, params)
    loaded, key = time.perf_counter(), run_key(inputs, params.train)
    if not is_first():
        train_as_one_of_several(jobs, inputs, params.train, workspace.training / key)
        return
    if inputs.base is not None:
        log.info("normalised by %s, which the data %s", params.train.base_statistics, inputs.base.comparison.verdict)
    with work_folder(workspace, key, jobs) as work, replace_dir(workspace.train) as folder:
        name = write_about(work, inputs.digests, params.train.model_dump(mode="json"))
        if not jobs:
            done = []
        elif is_one_of_several:
            done = train_as_one_of_several(jobs, inputs, params.train, work)
        elif placement.world > 1:
            done = train_in_turn(jobs, params.train, work)
        else:
            done = train_all(jobs, inputs, params.train, work)
        foreign = _train_external(workspace, params.train, inputs, folder)
        _write_outputs(done, foreign, jobs, inputs, work, folder)
        keep_speed(work, workspace.speed / name)
    if foreign:
        forget(workspace)
    for one in done:
        _say(workspace, one, _journal_fields(one, params.train.batch_size * params.train.accumulate))
    for left in foreign:
        _say(workspace, left, left.journal_fields())
    seconds = {"load_s": round(loaded - began, 3), "duration_s": round(time.perf_counter() - began, 3)}
    workspace.journal.write("training-ended", jobs=len(done) + len(foreign), **seconds)


def _say(workspace: Workspace, one: Trained | Foreign, facts: Mapping[str, str | float | None]) -> None:
    log.info("%-10s val loss %.4f", one.name, one.policy_row["val_loss"])
    workspace.journal.write("trained", **facts)


def _train_external(workspace: Workspace, params: Train, inputs: Inputs, folder: Path) -> list[Foreign]:
    if params.external is None:
        return []
    # What looks through a foreign policy loads onnxruntime, which our own training does without.
    from components.train.external import train_external

    return train_external(workspace, params, params.external, inputs, folder)


def _load_in_turn(workspace: Workspace, params: Params) -> Inputs:
    """The first process fills the cache of frames, the others find it filled."""
    inputs = load_inputs(workspace, params) if is_first() else None
    agreed(None)
    return load_inputs(workspace, params) if inputs is None else inputs


def _write_outputs(
    done: Sequence[Trained], foreign: Sequence[Foreign], jobs: Sequence[Job], inputs: Inputs, work: Path, folder: Path
) -> None:
    for job in jobs:
        collect(work, job, folder)
    both: list[Trained | Foreign] = [*done, *foreign]
    write_text(folder / "loss.csv", _loss_csv(both))
    write_overview(folder, [one.name for one in done])
    write_json(folder / "metrics.json", {one.name: one.policy_row for one in both})
    if inputs.base is not None:
        inputs.base.write_report(folder)


def _loss_csv(done: Sequence[Trained | Foreign]) -> str:
    text, columns = io.StringIO(), ("loss", "val_loss", "val_action_error")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "name", *columns])
    for one in done:
        writer.writerows(
            [int(row["step"]), one.name, *(row.get(name, "") for name in columns)] for row in one.validations
        )
    return text.getvalue()


def _journal_fields(one: Trained, batch_size: int) -> dict[str, str | float | None]:
    seconds = max(one.seconds, 1e-9)
    return {
        "name": one.name,
        "checkpoint": one.digest,
        "steps": one.steps,
        "duration_s": round(one.seconds, 3),
        "samples_per_s": round(one.steps_timed * batch_size / seconds, 1),
        "data_share": round(one.loading_seconds / seconds, 4),
        "batch_flops": one.batch_flops,
        "mfu": None if one.mfu is None else round(one.mfu, 4),
    }
