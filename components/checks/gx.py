"""The only doorway to Great Expectations: suites and tables go in, findings and Data Docs come out."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from components.checks.docs_site import RUN_TIME, make_stable
from components.checks.suite import Expectation
from components.core.errors import ComponentError, MissingDependency

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
    return great_expectations


@dataclass(frozen=True)
class Finding:
    """How one expectation went.

    `rows`: index values of the rows that failed it, and what each holds in `column`; `observed`: the number that an
    expectation about the table as a whole looked at.
    """

    type: str
    column: str
    meta: dict[str, Any]
    passed: bool
    rows: dict[str, Any] = field(default_factory=dict)
    observed: float | None = None


class Judge:
    """An ephemeral context of Great Expectations. Its only files are the Data Docs, written where the block ends well.

    Example:
        with Judge(folder) as judge:
            findings = judge.judge("episodes", table, episode_suite(params), index="episode_id")
    """

    def __init__(self, docs: Path) -> None:
        self._docs = docs
        self._gx = load_gx()
        self._context = self._open()

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
            results = self._checkpoint(name, suite, index).run(
                batch_parameters={"dataframe": table},
                run_id=self._gx.RunIdentifier(run_name=_RUN_NAME, run_time=RUN_TIME),
            )
        (result,) = results.run_results.values()
        by_key = {_key(r["expectation_config"]): r for r in result.to_json_dict()["results"]}
        return [_finding(by_key[_key({"type": e.type, "kwargs": e.kwargs})], index) for e in suite]

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

    def _checkpoint(self, name: str, suite: Sequence[Expectation], index: str) -> Any:
        gx, context = self._gx, self._context
        declared = gx.ExpectationSuite(name=name, expectations=[self._declare(e) for e in suite])
        source = context.data_sources.add_pandas(name)
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(declared))
        return context.checkpoints.add(
            gx.Checkpoint(
                name=name,
                validation_definitions=[context.validation_definitions.add(definition)],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [index]},
            )
        )

    def _declare(self, expectation: Expectation) -> Any:
        name = "".join(part.capitalize() for part in expectation.type.split("_"))
        severity = "warning" if expectation.meta.get("severity") == "warn" else "critical"
        declare = getattr(self._gx.expectations, name)
        return declare(**expectation.kwargs, meta=expectation.meta, severity=severity)


def _key(config: dict[str, Any]) -> tuple[str, str]:
    return str(config["type"]), str(config["kwargs"]["column"])


def _finding(result: dict[str, Any], index: str) -> Finding:
    config, found = result["expectation_config"], result["result"]
    kind, column = _key(config)
    raised = _raised(result["exception_info"])
    if raised:
        raise ComponentError(f"Great Expectations could not evaluate {kind} on {column!r}: {raised}")
    rows = {str(row[index]): row.get(column) for row in found.get("unexpected_index_list") or ()}
    if not result["success"] and not rows and "observed_value" not in found:
        raise ComponentError(f"{kind} on {column!r} failed and Great Expectations names no row")
    observed = found.get("observed_value")
    return Finding(
        kind, column, config["meta"], bool(result["success"]), rows, None if observed is None else float(observed)
    )


def _raised(info: dict[str, Any]) -> str:
    """The first exception message; the library reports one, or one per metric."""
    entries = [info] if "raised_exception" in info else [e for e in info.values() if isinstance(e, dict)]
    with contextlib.suppress(StopIteration):
        return next(str(e.get("exception_message")) for e in entries if e.get("raised_exception"))
    return ""
