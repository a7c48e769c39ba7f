"""The only doorway to Great Expectations: suites and tables go in, findings and Data Docs come out."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from components.checks.docs_site import RUN_TIME, make_stable, stable_page
from components.checks.suite import Expectation
from components.core.errors import ComponentError, MissingDependency
from components.core.files import write_json

if TYPE_CHECKING:
    import pandas as pd

# The same in every run, as is the time of the run.
_RUN_NAME = "check"


@cache
def load_gx() -> Any:
    """The module `great_expectations`, which takes seconds to import; nothing is reported to anybody."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # It narrates its own wiring at level INFO, hundreds of lines a run.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # It imports deprecated modules of the standard library.
        warnings.simplefilter("ignore")
        try:
            import great_expectations
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"{error.name} is not installed", hint="Install it: pip install 'gripline[checks]'"
            ) from error
    # Hundreds of thousands of objects that stay: a collection that looks through them costs a fifth of a check.
    gc.freeze()
    return great_expectations


@dataclass(frozen=True)
class Finding:
    """How one expectation went.

    `rows`: index values of the rows that failed it, and what each holds in `column`; `observed`: the number that an
    expectation about the table as a whole looked at; `limit`: what that was compared with, where the data decides it.
    """

    type: str
    column: str
    meta: dict[str, Any]
    passed: bool
    rows: dict[str, Any] = field(default_factory=dict)
    observed: float | None = None
    limit: float | None = None


class Judge:
    """An ephemeral context of Great Expectations. The Data Docs are written where the block ends well.

    Example:
        with Judge(folder) as judge:
            findings = judge.judge("episodes", table, episode_suite(params), index="episode_id")
    """

    def __init__(self, docs: Path) -> None:
        self._docs = docs
        self._gx = load_gx()
        self._context = self._open()
        self._results: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._build_docs()

    def judge(self, name: str, table: pd.DataFrame, suite: Sequence[Expectation], *, index: str) -> list[Finding]:
        """Runs `suite` over `table`; one finding per expectation, in their order.

        `index`: column that names a row. Raises `ComponentError` where an expectation could not be evaluated: that is
        no verdict on the data.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = self._checkpoint(name, suite).run(
                batch_parameters={"dataframe": table},
                run_id=self._gx.RunIdentifier(run_name=_RUN_NAME, run_time=RUN_TIME),
            )
        (result,) = results.run_results.values()
        self._results[name] = result.to_json_dict()
        by_key = {_key(r["expectation_config"]): r for r in self._results[name]["results"]}
        return [_finding(by_key[_key({"type": e.type, "kwargs": e.kwargs})], e, table, index) for e in suite]

    def write_results(self, folder: Path) -> None:
        """Writes the Validation Result of every table so far, TABLE.json, without times and random ids."""
        for name, result in self._results.items():
            write_json(folder / f"{name}.json", json.loads(stable_page(json.dumps(result, sort_keys=True))))

    def _build_docs(self) -> None:
        """Renders every suite and result into `docs`, once for all."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._context.build_data_docs()
        make_stable(self._docs)

    def _open(self) -> Any:
        from great_expectations.data_context.types import base

        site = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(self._docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
        config = base.DataContextConfig(
            store_backend_defaults=base.InMemoryStoreBackendDefaults(),
            data_docs_sites={"docs": site},
            analytics_enabled=False,
            progress_bars=base.ProgressBarsConfig(globally=False),
            data_context_id=UUID(int=0),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._gx.get_context(mode="ephemeral", project_config=config)

    def _checkpoint(self, name: str, suite: Sequence[Expectation]) -> Any:
        gx, context = self._gx, self._context
        declared = gx.ExpectationSuite(name=name, expectations=[self._declare(e) for e in suite])
        source = context.data_sources.add_pandas(name)
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(declared))
        # Where it is not added before it runs, it is compared with its stored self less often.
        return gx.Checkpoint(
            name=name,
            validation_definitions=[context.validation_definitions.add(definition)],
            # Naming every row that failed would cost as much again as judging; see `_rows`.
            result_format="BASIC",
        )

    def _declare(self, expectation: Expectation) -> Any:
        name = "".join(part.capitalize() for part in expectation.type.split("_"))
        severity = "warning" if expectation.meta.get("severity") == "warn" else "critical"
        declare = getattr(self._gx.expectations, name, None) or getattr(_own(), name)
        return declare(**expectation.kwargs, meta=expectation.meta, severity=severity)


def _key(config: dict[str, Any]) -> tuple[str, str]:
    return str(config["type"]), str(config["kwargs"]["column"])


def _own() -> Any:
    """The module of our own expectations, which imports Great Expectations."""
    from components.checks import psi

    return psi


def _finding(result: dict[str, Any], expectation: Expectation, table: pd.DataFrame, index: str) -> Finding:
    config, found, passed = result["expectation_config"], result["result"], bool(result["success"])
    kind, column = _key(config)
    raised = _raised(result["exception_info"])
    if raised:
        raise ComponentError(f"Great Expectations could not evaluate {kind} on {column!r}: {raised}")
    if "observed_value" in found:
        limit = found.get("details", {}).get("limit")
        observed = found["observed_value"]
        return Finding(kind, column, config["meta"], passed, {}, None if observed is None else float(observed), limit)
    rows = {} if passed else _rows(expectation, table, index)
    if len(rows) != found["unexpected_count"]:
        counted = f"counts {found['unexpected_count']} rows, these are {len(rows)}"
        raise ComponentError(f"{kind} on {column!r} failed: Great Expectations {counted}")
    return Finding(kind, column, config["meta"], passed, rows)


def _rows(expectation: Expectation, table: pd.DataFrame, index: str) -> dict[str, Any]:
    """The rows that failed an expectation about single values. Whether any did, and how many, is not ours to say."""
    asked = expectation.kwargs
    values = table[asked["column"]]
    failed = ~values.isin(asked["value_set"]) if "value_set" in asked else values != values
    if asked.get("min_value") is not None:
        failed |= values < asked["min_value"]
    if asked.get("max_value") is not None:
        failed |= values > asked["max_value"]
    failed &= values.notna()
    return dict(zip(table[index][failed].astype(str).tolist(), values[failed].tolist(), strict=True))


def _raised(info: dict[str, Any]) -> str:
    """The first exception message; the library reports one, or one per metric."""
    entries = [info] if "raised_exception" in info else [e for e in info.values() if isinstance(e, dict)]
    with contextlib.suppress(StopIteration):
        return next(str(e.get("exception_message")) for e in entries if e.get("raised_exception"))
    return ""
