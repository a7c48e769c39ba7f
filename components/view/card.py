"""The card of a dataset: what it holds and what it lacks, as Markdown and as a page with charts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.figures import Figure
from components.core.files import write_text
from components.core.page import plotly_js, render, script_json
from components.dataset.episode_table import read_verdicts
from components.dataset.outside import require_place
from components.dataset.parts import Part
from components.dataset.pictures import data_uri
from components.view.card_text import Section, sections
from components.view.charts import charts
from components.view.facts import facts
from components.view.markdown import as_html, escape
from components.view.samples import Sample, samples


@dataclass(frozen=True)
class Card:
    """`facts`: what it was written from; see `view.facts`."""

    markdown: Path
    html: Path
    facts: dict[str, Any]


def write_card(parts: Sequence[Part], out: Path, *, name: str, verdicts: Path | None = None, where: str = "") -> Card:
    """Writes card.md and card.html into `out`. The same parts and verdicts give the same bytes.

    `where`: what the parts were selected by, to be said. Raises `DatasetError` where a picture cannot be decoded, and
    `UsageError` for an `out` that is no place for them.
    """
    require_place(out)
    judged = read_verdicts(verdicts) if verdicts is not None else None
    found = {**facts(parts, judged), "where": where}
    pictures = samples(parts, judged)
    title, text = f"Dataset {name}", sections(found)
    card = Card(out / "card.md", out / "card.html", found)
    write_text(card.markdown, _markdown(title, text))
    write_text(card.html, _html(title, text, charts(found), pictures))
    return card


def _markdown(title: str, text: Sequence[Section]) -> str:
    parts = [f"# {escape(title)}", *(f"## {section.title}\n\n{section.text}" for section in text)]
    return "\n\n".join(parts) + "\n"


def _html(
    title: str, text: Sequence[Section], figures: Mapping[str, Sequence[Figure]], pictures: Sequence[Sample]
) -> str:
    from markupsafe import Markup

    shown: list[Figure] = []
    blocks = []
    for section in text:
        numbers = range(len(shown), len(shown) + len(figures.get(section.key, ())))
        shown += figures.get(section.key, ())
        html = Markup(as_html(section.text))
        blocks.append({"key": section.key, "title": section.title, "html": html, "charts": list(numbers)})
    seen = [
        {
            "task": sample.task,
            "episode_id": sample.episode_id,
            "uris": {camera: data_uri(data) for camera, data in sample.jpegs.items()},
        }
        for sample in pictures
    ]
    return render(
        "components.view",
        "card.html.j2",
        title=title,
        sections=blocks,
        samples=seen,
        charts=script_json(shown),
        plotly=plotly_js(),
    )
