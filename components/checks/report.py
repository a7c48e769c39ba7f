"""The check as a page for people: what was found, how the numbers lie, what the worst episodes look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from components.checks.codes import CHECKS, not_judged
from components.checks.report_charts import by_code, coverage, drift, measures, quality
from components.checks.verdicts import Verdicts
from components.checks.worst import worst
from components.core.figures import Figure
from components.core.page import plotly_js, render, script_json
from components.core.params import Checks

if TYPE_CHECKING:
    from components.dataset.reader import Dataset

# Rows of the table of episodes, and of those with the lowest and the highest quality.
MOST_LISTED, MOST_SCORED = 200, 10
_MEANINGS = {check.code: check.meaning for check in CHECKS}


def page(dataset: Dataset, verdicts: Verdicts, report: Mapping[str, Any], params: Checks, *, docs_url: str) -> str:
    """HTML that needs nothing else. `report`: checks.json; `docs_url`: the Data Docs, as seen from the page.

    The same dataset, verdicts and report give the same bytes. Raises `DatasetError` where a picture cannot be decoded.
    """
    table = verdicts.table
    set_aside = table["episode_id"].isin({found["episode_id"] for found in report["failed"]}).to_numpy()
    sections: dict[str, list[tuple[str, Figure]]] = {
        "codes": by_code(*(_counts(report[name]) for name in ("failed", "warned"))),
        "measures": measures(table, set_aside, params, dataset.embodiment),
        "quality": quality(table, set_aside),
        "coverage": coverage(table, set_aside),
        "drift": drift(report.get("drift") or {}),
    }
    named = [figure for figures in sections.values() for figure in figures]
    counted = iter(range(len(named)))
    listed = _listed(report)
    return render(
        "components.checks",
        "report.html.j2",
        title="Checks: " + ("passed" if report["passed"] else "not passed"),
        report=report,
        docs_url=docs_url,
        broken=[limit for limit in report["limits"] if not limit["passed"]],
        sections={key: [(next(counted), title) for title, _ in figures] for key, figures in sections.items()},
        listed=listed[:MOST_LISTED],
        left_out=max(0, len(listed) - MOST_LISTED),
        worst=worst(dataset, report),
        is_listed={row["episode_id"] for row in listed[:MOST_LISTED]}.__contains__,
        scored=_scored(table),
        baseline=(report.get("drift") or {}).get("baseline"),
        not_judged={code: (_MEANINGS[code], why) for code, why in _not_judged(report, dataset).items()},
        charts=script_json([figure for _, figure in named]),
        plotly=plotly_js(),
    )


def _counts(listed: list[dict[str, Any]]) -> Counter[str]:
    return Counter(code for found in listed for code in found["codes"])


def _listed(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every episode that broke something, those set aside first, with what it broke."""
    warned = {found["episode_id"]: found for found in report["warned"]}
    rows = [{**found, "verdict": "quarantined"} for found in report["failed"]]
    for row in rows:
        if (also := warned.pop(row["episode_id"], None)) is not None:
            row["evidence"] = row["evidence"] + also["evidence"]
    return rows + [{**found, "verdict": "accepted"} for found in warned.values()]


def _not_judged(report: Mapping[str, Any], dataset: Dataset) -> dict[str, str]:
    from components.checks.channels import Channels

    found = report.get("not_judged")
    return dict(not_judged(Channels(dataset.embodiment).can, len(dataset)) if found is None else found)


def _scored(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The episodes of the lowest and of the highest quality; nothing where nobody scores them."""
    if "quality" not in table or not table["quality"].notna().any():
        return {}
    names = ["quality", *sorted(str(name) for name in table if str(name).startswith("quality_")), "source_uri", "task"]
    ordered = table[table["quality"].notna()].sort_values(["quality", "episode_id"], kind="stable")
    found = {"lowest": ordered.head(MOST_SCORED), "highest": ordered.iloc[::-1].head(MOST_SCORED)}
    return {
        side: [
            {str(name): value for name, value in row.items()}
            for row in rows[["episode_id", "episode_index", *names]].to_dict("records")
        ]
        for side, rows in found.items()
    }
