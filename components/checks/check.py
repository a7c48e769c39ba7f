"""The stage `check`: dataset -> verdicts, and pages about them. Accepted episodes are what training reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from os.path import relpath
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.checks import accepted
from components.checks.channels import Channels
from components.checks.codes import not_judged
from components.checks.contact_sheet import write_contact_sheet
from components.checks.groups import group_tables
from components.checks.gx import Judge
from components.checks.limits import limit_suites
from components.checks.own.relate import relate
from components.checks.profile import PROFILE, Bins, profile_of
from components.checks.quality import with_quality
from components.checks.records import records
from components.checks.remembered import CACHE
from components.checks.report import page as report_page
from components.checks.suite import MAX_DRIFT, episode_suite, suite_digest
from components.checks.table import measure_dataset
from components.checks.verdicts import Verdicts, judge_dataset
from components.core.errors import GateRefused, RecordError, UsageError
from components.core.files import read_json, replace_dir, sha256_file, write_json, write_text
from components.core.params import Checks, Params
from components.core.records import RECORD_NAME, Record, read_record, write_record
from components.core.workspace import Workspace
from components.dataset.reader import Dataset

log = logging.getLogger(__name__)

VERDICTS = "verdicts.parquet"
REPORT = "checks.json"
TABLE = "episodes_table.parquet"
MEASURES = "measures.parquet"
PAGE = "report.html"
CONTACT_SHEET = "contact_sheet.png"
VALIDATIONS = "validations"
_WRITTEN = {VERDICTS, REPORT, TABLE, MEASURES, PAGE, CONTACT_SHEET, VALIDATIONS, PROFILE, RECORD_NAME}
_DOCS_WRITTEN = {"index.html", "expectations", "validations", "static"}
_KIND = "checks"
_DOCS_TITLE = b"Data Docs created by Great Expectations"
_ELSEWHERE = "Name another folder with --out; the Data Docs go beside it, as NAME-docs"


def run(workspace: Workspace, params: Params) -> None:
    """Makes data/checks and data/check_docs. Raises `GateRefused`, with both written, where a dataset limit fails.

    A dataset that passes is what the next one is compared with.
    """
    started = time.monotonic()
    before = accepted.baseline_by(workspace.accepted)
    report = check_dataset(
        workspace.dataset,
        workspace.checks,
        workspace.check_docs,
        params.checks,
        before,
        remembered=workspace.state / CACHE,
    )
    failed, episodes = len(report["failed"]), report["episodes"]
    workspace.journal.write(
        "checked",
        dataset=report["dataset_digest"],
        episodes=episodes,
        quarantined=failed,
        passed=report["passed"],
        duration_s=round(time.monotonic() - started, 3),
    )
    log.info("accepted %d of %d episodes, set aside %d", episodes - failed, episodes, failed)
    require_limits(report, where=str(workspace.dataset))
    accepted.remember(workspace.accepted, read_json(workspace.checks / PROFILE))


def require_limits(report: dict[str, Any], *, where: str) -> None:
    """Raises `GateRefused` naming every limit of severity error that does not hold; logs those of severity warn."""
    if warned := _broken(report, "warn"):
        log.warning("limits that only warn are broken: %s", warned)
    if broken := _broken(report, "error"):
        raise GateRefused(
            f"the dataset does not pass: {broken}",
            where=where,
            hint=f"{REPORT} names the episodes that were set aside and why. Record more, or mend them",
        )


def _broken(report: dict[str, Any], severity: str) -> str:
    broken = [limit for limit in report["limits"] if not limit["passed"] and limit["severity"] == severity]
    return "; ".join(f"{limit['name']} is {limit['value']:g}, the limit is {limit['limit']:g}" for limit in broken)


def check_dataset(
    dataset: Path,
    target: Path,
    docs: Path,
    params: Checks,
    baseline_of: accepted.BaselineOf | None = None,
    *,
    remembered: Path | None = None,
) -> dict[str, Any]:
    """Judges the dataset at `dataset`; replaces the folders `target` and `docs`. `remembered`: see `measure_dataset`.

    `baseline_of`: finds what drift is measured against; without it drift is not judged.
    Returns checks.json with "report", "verdicts" and "docs": the page about it, that file, and the first page of the
    Data Docs. Raises `DatasetError` on a damaged dataset, `ParamsError` where params.warn names no check, and
    `UsageError` where something else than an earlier check lies in `target` or `docs`; a dataset that does not pass is
    an answer, no error.
    """
    _require_replaceable(target, _holds_verdicts)
    _require_replaceable(docs, _holds_docs)
    opened = Dataset.open(dataset)
    can = Channels(opened.embodiment).can
    # What is asked of any dataset; which version it is compared with is no part of that.
    asked = suite_digest(episode_suite(params, can), *limit_suites(params, {"": Bins((), (0,))}).values())
    baseline = baseline_of(opened.digest) if baseline_of else None
    if baseline is None:
        log.info("no accepted dataset to compare with: drift is not judged")
    measured = measure_dataset(dataset, params, remembered=remembered)
    table = with_quality(relate(measured, opened.embodiment, params, fps=opened.fps))
    with replace_dir(docs) as docs_folder:
        with Judge(docs_folder) as judge:
            verdicts = judge_dataset(table, params, judge, can, baseline)
        report = {
            **_report(verdicts, asked, opened.digest),
            "groups": {name: records(rows) for name, rows in group_tables(table, verdicts.accepted).items()},
            "drift": _drift(verdicts, baseline),
            "not_judged": not_judged(can, len(table)),
        }
        with replace_dir(target) as folder:
            _write(folder, verdicts, report, params)
            pq.write_table(measured, folder / MEASURES, compression="zstd")
            judge.write_results(folder / VALIDATIONS)
            docs_url = Path(relpath(docs / "index.html", target)).as_posix()
            write_text(folder / PAGE, report_page(opened, verdicts, report, params, docs_url=docs_url))
            write_contact_sheet(folder / CONTACT_SHEET, opened, verdicts)
    places = {"report": str(target / PAGE), "verdicts": str(target / VERDICTS)}
    return {**report, **places, "docs": str(docs / "index.html")}


def _require_replaceable(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raises `UsageError` for what is neither absent, nor an empty folder, nor what an earlier check wrote."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise UsageError("is there already and is no folder", where=str(folder), hint=_ELSEWHERE)
    elif any(folder.iterdir()) and not is_ours(folder):
        raise UsageError("holds something that no check wrote, and would be lost", where=str(folder), hint=_ELSEWHERE)


def _holds_verdicts(folder: Path) -> bool:
    try:
        read_record(folder, _KIND)
    except RecordError:
        return False
    return (folder / REPORT).is_file() and _names(folder) <= _WRITTEN


def _holds_docs(folder: Path) -> bool:
    index = folder / "index.html"
    return index.is_file() and _DOCS_TITLE in index.read_bytes() and _names(folder) <= _DOCS_WRITTEN


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _report(verdicts: Verdicts, digest: str, dataset_digest: str) -> dict[str, Any]:
    failed = verdicts.listed("error")
    return {
        "passed": verdicts.passed,
        "suite_digest": digest,
        "dataset_digest": dataset_digest,
        "episodes": len(verdicts.table),
        "accepted": len(verdicts.table) - len(failed),
        "quarantined": len(failed),
        "failed": failed,
        "warned": verdicts.listed("warn"),
        "limits": verdicts.limits_as_dicts(),
    }


def _drift(verdicts: Verdicts, baseline: dict[str, Any] | None) -> dict[str, Any]:
    """Against which dataset, None where there is none; and the index of each column."""
    head = f"{MAX_DRIFT}:"
    columns = {one.name.removeprefix(head): one.value for one in verdicts.limits if one.name.startswith(head)}
    return {"baseline": baseline["dataset"] if baseline else None, "columns": columns}


def _write(folder: Path, verdicts: Verdicts, report: dict[str, Any], params: Checks) -> None:
    pq.write_table(verdicts.as_table(), folder / VERDICTS)
    pq.write_table(_without_index(verdicts.table), folder / TABLE)
    write_json(folder / REPORT, report)
    write_json(folder / PROFILE, profile_of(verdicts.table[verdicts.accepted], report["dataset_digest"]))
    before = report["drift"]["baseline"]
    record = Record(
        kind=_KIND,
        digest=sha256_file(folder / VERDICTS),
        inputs={"dataset": report["dataset_digest"], **({"baseline": before} if before else {})},
        params=params.model_dump(mode="json"),
        counts={name: report[name] for name in ("episodes", "accepted", "quarantined")},
        attrs={"passed": report["passed"], "suite_digest": report["suite_digest"]},
    )
    write_record(folder, record)


def _without_index(table: pd.DataFrame) -> pa.Table:
    """Plain Arrow: what pandas would add names its own version."""
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
