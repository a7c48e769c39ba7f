"""Drift as an expectation of Great Expectations, which has none that compares a column with stored bins."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation, render_suite_parameter_string
from great_expectations.expectations.metrics import ColumnAggregateMetricProvider, column_aggregate_value
from great_expectations.render import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererConfiguration, RendererValueType

from components.checks.profile import chance, count, psi

_METRIC = "column.psi"
_SAID = "population stability index against the accepted version before must be at most $max_psi, or what chance gives."


class ColumnPsi(ColumnAggregateMetricProvider):
    """(PSI of the column against stored counts, what chance alone gives); nulls are passed over."""

    metric_name = _METRIC
    value_keys = ("bins", "counts")

    @column_aggregate_value(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, bins: list[Any], counts: list[int], **_: Any) -> tuple[float, float]:
        found = count(column, bins)
        return psi(counts, found), chance(counts, found)


class ExpectColumnPsiToBeAtMost(ColumnAggregateExpectation):
    """Expect the population stability index of a column against stored bins to be small.

    It passes at `max_psi` or below, and also where two samples of one thing would differ as much once in 1000.
    `bins`, `counts`: see `profile.Bins`.
    """

    bins: list[Any]
    counts: list[int]
    max_psi: float

    metric_dependencies = (_METRIC,)
    success_keys = ("bins", "counts", "max_psi")
    args_keys = ("column", "bins", "counts", "max_psi")
    library_metadata: ClassVar[dict[str, Any]] = {"maturity": "production", "tags": [], "contributors": []}

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        value, noise = metrics[_METRIC]
        limit = max(self.max_psi, noise)
        return {"success": bool(value <= limit), "result": {"observed_value": value, "details": {"limit": limit}}}

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: RendererConfiguration) -> RendererConfiguration:
        renderer_configuration.add_param("column", RendererValueType.STRING)
        renderer_configuration.add_param("max_psi", RendererValueType.NUMBER)
        with_column = f"$column {_SAID}" if renderer_configuration.include_column_name else _SAID
        renderer_configuration.template_str = with_column
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls, configuration: Any, result: Any = None, runtime_configuration: dict[str, Any] | None = None, **_: Any
    ) -> list[RenderedStringTemplateContent]:
        runtime = runtime_configuration or {}
        said = _SAID if runtime.get("include_column_name") is False else f"$column {_SAID}"
        shown = {"template": said, "params": dict(configuration.kwargs), "styling": runtime.get("styling")}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=shown)]
