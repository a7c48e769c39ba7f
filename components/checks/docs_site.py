"""Data Docs without clocks and dice: the pages that Great Expectations renders, made the same in every run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

_TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"
_TIME = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
# The time of the run, in the time zone of the machine.
_SHOWN_TIME = re.compile(r"\b(?:1999-12-31|2000-01-0[12])[ T]\d\d:\d\d:\d\d(?:Z| [A-Z]{2,5}\b| ?[+-]\d\d(?::?\d\d)?)?")
# The logo is fetched from a server of the makers, with a time and the id of the context in its address.
_LOGO = re.compile(r'<img\s[^>]*src="https://great-expectations-web-assets[^>]*>', re.DOTALL)


# What every run is dated: when a check ran stands in the journal, and outputs must not depend on it.
RUN_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def make_stable(site: Path) -> None:
    """Rewrites every page below `site`: times become `RUN_TIME`, random ids are numbered, no logo is fetched."""
    for page in sorted(site.rglob("*.html")):
        page.write_text(stable_page(page.read_text()))


def stable_page(text: str) -> str:
    """A page, or a result as JSON, without what differs between two runs."""
    numbers: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return numbers.setdefault(match.group(), f"00000000-0000-4000-8000-{len(numbers):012d}")

    text = _SHOWN_TIME.sub(f"{RUN_TIME:%Y-%m-%dT%H:%M:%SZ}", _LOGO.sub("", text))
    return _UUID.sub(numbered, _TIME.sub(RUN_TIME.strftime(_TIME_FORMAT), text))
