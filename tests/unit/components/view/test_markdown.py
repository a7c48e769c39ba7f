from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.view.markdown import as_html, code, counted, escape, lasting, table


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def shown(cell: str) -> Cells:
    parser = Cells()
    parser.feed(as_html(table(("a", "b"), [(cell, "end")])))
    return parser


@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs"]), min_size=1))
def test_whatever_a_recording_says_stays_text_in_one_cell(text: str) -> None:
    found = shown(escape(text))
    assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "em", "strong"}
    assert len(found.cells) == 2
    if "_" not in text:
        assert found.cells[0].strip() == " ".join(text.split())


@pytest.mark.parametrize("value", ["a|b", "`x`", "<i>", "a\nb", "[x](javascript:alert(1))"])
def test_code_stays_in_its_cell(value: str) -> None:
    found = shown(code(value))
    assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert found.cells[0].strip() == " ".join(value.split()).replace("`", "'")


def test_a_table_without_rows_is_nothing() -> None:
    assert table(("a",), []) == ""


def test_one_is_no_plural() -> None:
    assert [counted(number, "day") for number in (0, 1, 2000)] == ["0 days", "1 day", "2,000 days"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (7.44, "7.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1.0 min"),
        (750, "12.5 min"),
        (3599, "1.00 hours"),
        (3600, "1.00 hours"),
        (4444200, "1,234.50 hours"),
    ],
)
def test_a_time_is_told_in_a_unit_that_fits(seconds: float, expected: str) -> None:
    assert lasting(seconds / 3600) == expected
