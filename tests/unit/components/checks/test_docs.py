"""docs.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.checks.codes import CHECKS, Check
from components.core.params import Checks


def rows(project: Path) -> dict[str, list[str]]:
    lines = (project / "components/checks/docs.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_row_names_severity_columns_and_thresholds(check: Check, project: Path, params: Checks) -> None:
    _, severity, columns, limits, meaning, remedy = rows(project)[check.code]
    assert severity == ("warn" if check.code in params.warn else "error")
    assert columns == ", ".join(f"`{rule.column}`" for rule in check.rules)
    expected = [f"`{r.param}`" if r.param else "none" if r.kind == "empty" else f"{r.bound:g}" for r in check.rules]
    assert limits == ", ".join(expected)
    assert meaning
    assert remedy


def test_no_row_is_left_from_a_check_that_is_gone(project: Path) -> None:
    assert set(rows(project)) == {check.code for check in CHECKS} | {"min_episodes_per_task", "max_quarantined_share"}
