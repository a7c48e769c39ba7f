"""Files of demonstrations become a dataset: read, align, identify, split, write. What cannot be used is named.

A dataset is continued where it can be: what it holds already is not read again, and the result is the same as that of
building it afresh. Killed at any moment, a run leaves a dataset that opens; the next one completes it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from components.core.embodiment_files import embodiment
from components.core.errors import UsageError
from components.core.files import digest_json, write_json
from components.core.params import Ingest, Params, workers
from components.core.spec import Embodiment
from components.core.workspace import Workspace
from components.dataset.commit import recover
from components.dataset.deleted import read_deleted
from components.dataset.layout import INFO
from components.dataset.lock import writing
from components.dataset.reader import Dataset
from components.dataset.video import encoder_settings
from components.formats.cut_lists import read_cut_list
from components.formats.mapping import Mapping, mappings_in
from components.ingest.build import (
    Job,
    building,
    hidden,
    is_continued,
    is_vacant,
    open_dataset,
    rebuild,
    record_params,
    scratch,
)
from components.ingest.executor import Pool, executor
from components.ingest.increment import Increment, increment
from components.ingest.ledger import Entry, Ledger
from components.ingest.reading import Reading
from components.ingest.report import IngestReport, Quarantined, nothing_usable
from components.ingest.settings import CODE, build_settings
from components.ingest.sources import Source, find_all, keyed
from components.ingest.spool import Spool
from components.ingest.stamps import CACHE, remember
from components.ingest.swap import restore, swap
from components.ingest.work import Worker

METRICS = "ingest.json"

# Hidden folders beside a dataset: one that will take its place.
_BESIDE = "building"


def run(workspace: Workspace, params: Params) -> None:
    """data/raw -> data/dataset and data/ingest.json. Raises `InputError` where nothing can be used."""
    begun = time.monotonic()
    report = ingest(
        [workspace.raw],
        workspace.dataset,
        params.ingest,
        embodiment(params.ingest.embodiment, workspace.robots),
        mappings=mappings_in(workspace.robots / "maps"),
        cache=workspace.state / CACHE,
    )
    write_json(workspace.data / METRICS, report.as_dict())
    workspace.journal.write(
        "ingest",
        dataset=report.dataset_digest,
        episodes=report.episodes_out,
        added=report.added,
        quarantined=len(report.quarantined),
        seconds=round(time.monotonic() - begun, 3),
    )


def ingest(
    sources: Sequence[Path],
    out: Path,
    params: Ingest,
    body: Embodiment,
    *,
    mappings: Sequence[Mapping] = (),
    cuts: Path | None = None,
    processes: int | None = None,
    cache: Path | None = None,
) -> IngestReport:
    """Makes `out` the dataset of all usable episodes below `sources`, reading only what it does not hold yet.

    `mappings`: a team's own; `cuts`: a cut list; `processes`: see `executor`; `cache`: a folder that remembers from one
    run to the next what files hash to and which code built what; never needed, but then more is read again.

    The result depends on the files and the parameters only: neither on the order of the files nor on what was there
    before nor on the number of processes. Raises `InputError` and leaves `out` as it was where there is no file or no
    usable episode, and `Busy` where another process writes to it.
    """
    encoder_settings(params.video)
    cut_list = read_cut_list(cuts) if cuts else None
    found, broken = find_all(sources, out)
    if cut_list:
        cut_list.require_sources((one.path, one.uri) for one in found)
    with writing(out):
        restore(out)
        if not is_vacant(out) and not (out / INFO).is_file() and open_dataset(out) is None:
            raise UsageError("is there already and is no dataset", where=str(out), hint="Choose another folder")
        with Spool(hidden(out, "spool")) as spool, executor(processes) as pool:
            every = keyed(found, mappings, cut_list, cache=cache and cache / "hashes.sqlite", threads=workers())
            inputs = {"raw": digest_json({source.uri: source.key for source in every})}
            job = Job(params, body, build_settings(params, body), inputs, cache, read_deleted(out))
            root, dataset, plan = _target(out, job, every, broken)
            worker = Worker(params, body, tuple(mappings), cut_list)
            added = _bring_up_to_date(root, dataset, job, plan, spool, pool, worker, sources)
            if root != out:
                swap(root, out)
            for leftover in (hidden(out, _BESIDE), scratch(out), scratch(hidden(out, _BESIDE))):
                shutil.rmtree(leftover, ignore_errors=True)
            if cache:
                remember(cache, out, job.settings[CODE])
            spool.clear()
        return _report(Dataset.open(out), added)


def _target(
    out: Path, job: Job, sources: Sequence[Source], broken: Sequence[Quarantined]
) -> tuple[Path, Dataset | None, Increment]:
    """The folder in which the dataset is continued or begun, the one that lies there, and what is to be done.

    A dataset that was written with other settings stays as it is until another one is whole and takes its place.
    """
    beside = hidden(out, _BESIDE)
    for root in (out, beside):
        dataset = _opened(root)
        if dataset is not None and is_continued(job, dataset):
            plan = increment(_entries(dataset), sources, broken)
            # What was deleted from the dataset may still lie in one that was begun beside it before.
            if plan.ledger.episodes and not any(entry.episode_id in job.deleted for entry in plan.ledger.episodes):
                return root, dataset, plan
    shutil.rmtree(beside, ignore_errors=True)
    return out if is_vacant(out) else beside, None, increment((), sources, broken)


def _bring_up_to_date(
    root: Path,
    dataset: Dataset | None,
    job: Job,
    plan: Increment,
    spool: Spool,
    pool: Pool,
    worker: Worker,
    sources: Sequence[Path],
) -> int:
    """Returns how many episodes were added. Raises `InputError` and leaves no `root` where there is none at all."""
    ledger = plan.ledger
    if dataset is not None and not plan.gone and not plan.unread and _is_current(dataset, job, ledger):
        return 0
    if plan.gone:
        rebuild(job, root, ledger, whole=False)
        dataset = Dataset.open(root)
    reading = Reading(ledger, spool, job.digest, job.deleted)
    reading.open(pool, worker, plan.unread)
    with building(job, root, ledger, dataset) as build:
        reading.read(pool, worker, build)
        if ledger.episodes and (build.uncommitted or not reading.usurpers):
            build.commit(whole=not reading.usurpers)
    if not ledger.episodes:
        shutil.rmtree(root, ignore_errors=True)
        raise nothing_usable(ledger.quarantined(), sources)
    if reading.usurpers:
        rebuild(job, root, ledger, reading.enthrone(), whole=True)
    return reading.added


def _is_current(dataset: Dataset, job: Job, ledger: Ledger) -> bool:
    """Whether a commit would change nothing."""
    record = dataset.record
    return (
        record.params == record_params(job, whole=True)
        and record.inputs == job.inputs
        and dataset.sources.to_dict("records") == ledger.rows()
    )


def _opened(root: Path) -> Dataset | None:
    """The dataset in `root`, once what a killed commit had begun is complete."""
    if root.is_dir():
        recover(root)
    return open_dataset(root)


def _entries(dataset: Dataset) -> list[Entry]:
    return [Entry(*row) for row in dataset.sources.itertuples(index=False)]


def _report(dataset: Dataset, added: int) -> IngestReport:
    ledger = Ledger(_entries(dataset))
    quarantined = ledger.quarantined()
    return IngestReport(
        episodes_in=len(dataset) + len(quarantined),
        episodes_out=len(dataset),
        frames=int(dataset.info["total_frames"]),
        quarantined=tuple(quarantined),
        dataset_digest=dataset.digest,
        added=added,
        deleted=len(ledger.deleted),
    )
