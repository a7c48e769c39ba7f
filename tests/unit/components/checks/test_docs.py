"""docs/checks.md and docs/checks/CODE.md say what the code and params.yaml do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from components.checks.codes import CHECKS, CODES, PHRASINGS, Check
from components.checks.suite import LIMITS
from components.core.params import Checks

SECTIONS = ["Why it matters", "How it is measured", "Limit", "What it does not see", "What to do"]
PAGES = (*CODES, PHRASINGS)
DEFAULT = re.compile(r"`(\w+)` \(default ([-\d.]+)\)")
# The limit of a code that is judged task by task, under its own name.
PARAM_OF = {PHRASINGS: "min_phrasings_per_task"}


def page(project: Path, code: str) -> str:
    return " ".join((project / f"docs/checks/{code}.md").read_text().split())


def meaning(project: Path, code: str) -> str:
    return (project / f"docs/checks/{code}.md").read_text().splitlines()[2]


def table(project: Path, title: str) -> list[list[str]]:
    """Cells of the table below a heading of the index, without its head."""
    text = (project / "docs/checks.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def severity(code: str, params: Checks) -> str:
    return "warn" if code in params.warn else "error"


def test_every_code_has_a_page_and_no_page_is_left_over(project: Path) -> None:
    assert {path.stem for path in (project / "docs/checks").glob("*")} == set(PAGES)


@pytest.mark.parametrize("code", PAGES)
def test_a_page_has_the_sections_of_all_pages_and_the_severity(code: str, project: Path, params: Checks) -> None:
    text = page(project, code)
    assert text.startswith(f"# {code} {meaning(project, code)} **Why")
    assert re.findall(r"\*\*([^*]+)\.\*\*", text) == SECTIONS
    limit = text.split("**Limit.**")[1].split("**What it")[0]
    assert re.findall(r"Severity: (\w+)", limit) == [severity(code, params)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_page_names_columns_and_limits(check: Check, project: Path) -> None:
    measured, limit = re.split(r"\*\*Limit\.\*\*|\*\*What it does", page(project, check.code))[:2]
    said = dict(DEFAULT.findall(limit))
    for rule in check.rules:
        assert f"`{rule.column}`" in measured
        if rule.param:
            assert f"`{rule.column}` at {rule.kind.removeprefix('at_')} `{rule.param}`" in limit
            assert rule.param in said
            assert (f"(default {said[rule.param]}), which by itself only warns" in limit) == rule.warns
        elif rule.kind == "empty":
            assert f"`{rule.column}` must be empty" in limit
        else:
            assert f"`{rule.column}` at {rule.kind.removeprefix('at_')} {rule.bound:g}" in limit


@pytest.mark.parametrize("code", PAGES)
def test_defaults_on_a_page_are_those_of_params_yaml(code: str, project: Path, params: Checks) -> None:
    text = page(project, code)
    said = {name: float(number) for name, number in DEFAULT.findall(text)}
    known: dict[str, Any] = params.model_dump()
    assert said == {name: known[name] for name in said}
    assert text.count("(default ") == len(DEFAULT.findall(text))


def test_the_page_of_the_phrasings_names_the_number_of_a_task_and_its_limit(project: Path) -> None:
    limit = page(project, PHRASINGS).split("**Limit.**")[1]
    assert f"`phrasings` at least `{PARAM_OF[PHRASINGS]}` (default" in limit


def test_params_that_no_rule_names_stand_on_the_page_of_their_code(project: Path) -> None:
    named = {rule.param for check in CHECKS for rule in check.rules}
    limits = {PARAM_OF.get(name, name) for name in LIMITS}
    others = {"black_level": "black_frames", "licences_forbidden": "licence_forbids"}
    assert set(Checks.model_fields) == (named - {""}) | limits | set(others) | {"warn"}
    assert all(f"`{name}`" in page(project, code) for name, code in others.items())


def test_the_index_lists_every_code_with_its_severity_and_meaning(project: Path, params: Checks) -> None:
    expected = [
        [f"[`{code}`](checks/{code}.md)", severity(code, params), meaning(project, code)]
        for code in (*CODES, PHRASINGS)
    ]
    assert table(project, "The checks") == expected


def test_the_index_lists_every_limit_with_its_default_and_severity(project: Path, params: Checks) -> None:
    expected = {
        f"`{PARAM_OF.get(name, name)}`": [f"{getattr(params, PARAM_OF.get(name, name)):g}", severity(name, params)]
        for name in LIMITS
    }
    assert {row[0]: row[1:3] for row in table(project, "Limits of the dataset as a whole")} == expected


def test_links_lead_somewhere(project: Path) -> None:
    for path in (project / "docs/checks.md", *(project / "docs/checks").iterdir()):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            target, _, anchor = link.partition("#")
            linked = (path.parent / target).read_text()
            assert not anchor or f"## {anchor.replace('-', ' ').capitalize()}\n" in linked


@pytest.mark.parametrize("code", PAGES)
def test_source_files_and_codes_on_a_page_are_there(code: str, project: Path) -> None:
    text = page(project, code)
    checks = project / "components/checks"
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert (checks / name.removeprefix("components/checks/")).is_file(), name
