"""The stage `check`: dataset -> verdicts, Data Docs and a contact sheet. Accepted episodes are what training reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.checks.contact_sheet import write_contact_sheet
from components.checks.gx import Judge
from components.checks.suite import episode_suite, suite_digest, task_suite, verdict_suite
from components.checks.table import episode_table
from components.checks.verdicts import Verdicts, judge_dataset
from components.core.errors import GateRefused, RecordError, UsageError
from components.core.files import replace_dir, sha256_file, write_json
from components.core.params import Checks, Params
from components.core.records import Record, read_record, write_record
from components.core.workspace import Workspace
from components.dataset.reader import Dataset

log = logging.getLogger(__name__)

VERDICTS = "verdicts.parquet"
REPORT = "checks.json"
TABLE = "episodes_table.parquet"
CONTACT_SHEET = "contact_sheet.png"
_KIND = "checks"
_DOCS_TITLE = b"Data Docs created by Great Expectations"
_ELSEWHERE = "Name another folder with --out; the Data Docs go beside it, as NAME-docs"


def run(workspace: Workspace, params: Params) -> None:
    """Makes data/checks and data/check_docs. Raises `GateRefused`, with both written, where a dataset limit fails."""
    started = time.monotonic()
    report = check_dataset(workspace.dataset, workspace.checks, workspace.check_docs, params.checks)
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


def require_limits(report: dict[str, Any], *, where: str) -> None:
    """Raises `GateRefused` naming every limit of the dataset that does not hold."""
    broken = [limit for limit in report["limits"] if not limit["passed"]]
    if broken:
        said = "; ".join(f"{limit['name']} is {limit['value']:g}, the limit is {limit['limit']:g}" for limit in broken)
        raise GateRefused(
            f"the dataset does not pass: {said}",
            where=where,
            hint=f"{REPORT} names the episodes that were set aside and why. Record more, or mend them",
        )


def check_dataset(dataset: Path, target: Path, docs: Path, params: Checks) -> dict[str, Any]:
    """Judges the dataset at `dataset`; replaces the folders `target` and `docs`.

    Returns checks.json with "verdicts", that file, and "docs", the first page of the Data Docs. Raises `DatasetError`
    on a damaged dataset, `ParamsError` where params.warn names no check, and `UsageError` where something else than an
    earlier check lies in `target` or `docs`; a dataset that does not pass is an answer, no error.
    """
    _require_replaceable(target, _holds_verdicts)
    _require_replaceable(docs, _holds_docs)
    suites = episode_suite(params), task_suite(params), verdict_suite(params)
    table = episode_table(dataset, params)
    opened = Dataset.open(dataset)
    with replace_dir(docs) as docs_folder:
        with Judge(docs_folder) as judge:
            verdicts = judge_dataset(table, params, judge)
        report = _report(verdicts, suite_digest(*suites), opened.digest)
        with replace_dir(target) as folder:
            _write(folder, verdicts, report, params)
            write_contact_sheet(folder / CONTACT_SHEET, opened, verdicts)
    return {**report, "verdicts": str(target / VERDICTS), "docs": str(docs / "index.html")}


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
    return (folder / REPORT).is_file()


def _holds_docs(folder: Path) -> bool:
    index = folder / "index.html"
    return index.is_file() and _DOCS_TITLE in index.read_bytes()


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


def _write(folder: Path, verdicts: Verdicts, report: dict[str, Any], params: Checks) -> None:
    pq.write_table(verdicts.as_table(), folder / VERDICTS)
    pq.write_table(_without_index(verdicts.table), folder / TABLE)
    write_json(folder / REPORT, report)
    record = Record(
        kind=_KIND,
        digest=sha256_file(folder / VERDICTS),
        inputs={"dataset": report["dataset_digest"]},
        params=params.model_dump(mode="json"),
        counts={name: report[name] for name in ("episodes", "accepted", "quarantined")},
        attrs={"passed": report["passed"], "suite_digest": report["suite_digest"]},
    )
    write_record(folder, record)


def _without_index(table: pd.DataFrame) -> pa.Table:
    """Plain Arrow: what pandas would add names its own version."""
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
