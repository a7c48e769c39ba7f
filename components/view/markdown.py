"""Words and tables as Markdown, and Markdown as HTML; what a recording says is shown as it is and never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*\[\]<>|&~#!])")


def escape(text: str) -> str:
    """`text` on one line, so that it reads the same in a Markdown table."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def code(value: object) -> str:
    """`value` in backticks; within them nothing is escaped, but a bar would still end a cell."""
    return "`" + " ".join(str(value).split()).replace("`", "'").replace("|", "\\|") + "`"


def counted(number: int, what: str) -> str:
    """As in "1 episode" and "2,000 episodes"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def lasting(hours: float) -> str:
    """As in "7.4 s", "12.5 min" and "1,234.50 hours"."""
    for unit, size_h in (("s", 1 / 3600), ("min", 1 / 60)):
        # What rounds to 60 is one of the next unit.
        if round(hours / size_h, 1) < 60:
            return f"{hours / size_h:.1f} {unit}"
    return f"{hours:,.2f} hours"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown; the first column stands left, the others right. "" where there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    rule = "| --- |" + " ---: |" * (len(header) - 1)
    return "\n".join(["| " + " | ".join(header) + " |", rule, *lines])


def paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def as_html(text: str) -> str:
    """Raw HTML in `text` stays text."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
