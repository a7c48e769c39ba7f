from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError, UsageError
from components.dataset.edits.subset import write_subset
from components.dataset.parts import Part, parts_of
from components.dataset.select import select
from components.view.card import Card, write_card
from components.view.find import find_episode
from components.view.view import view

_VIEW = helpers(UNIT / "view" / "conftest.py")


class Page(HTMLParser):
    """Ids, headings, pictures and the JSON of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.blocks: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("src", "href") if name in found]
        if tag == "img":
            self.images.append(found)
        self._open = found.get("id", "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.blocks[self._open] = self.blocks.get(self._open, "") + data


@pytest.fixture(scope="module")
def card(parts: list[Part], verdicts: Path, tmp_path_factory: pytest.TempPathFactory) -> Card:
    return write_card(parts, tmp_path_factory.mktemp("card"), name="kitchen", verdicts=verdicts)


@pytest.fixture(scope="module")
def page(card: Card) -> Page:
    return Page(card.html.read_text())


def section(card: Card, title: str) -> str:
    return card.markdown.read_text().split(f"## {title}\n\n")[1].split("\n## ")[0]


def test_the_card_counts(card: Card) -> None:
    assert "9 episodes, 208 frames, 10.4 s." in section(card, "What it holds")
    assert "| open | 5 | 106 | 5.3 s |" in section(card, "Tasks")
    assert "| *not said* | 1 |" in section(card, "Verdicts")
    assert "| `idle` | 1 |" in section(card, "What the checks found")


def test_gaps_are_named_as_such(card: Card) -> None:
    assert "**Gap:** 2 of 9 episodes have no licence." in section(card, "Licences and consent")
    assert "no consent" not in section(card, "Licences and consent")
    gaps = section(card, "Gaps")
    assert "2 of 9 episodes lack `collector_id`." in gaps
    assert "**Task by robot:** of 6 pairs 2 have no episode and 0 are thin" in gaps
    assert "| 2026-03-02 to 2026-03-09 | 6 |" in gaps


def test_duplicates_and_origin_are_named(card: Card, parts: list[Part]) -> None:
    assert "**1 episode with the same pictures** as another one (1 group), the first:" in section(card, "Duplicates")
    assert "`000000000000`" in section(card, "Duplicates")
    assert f"`{parts[0].dataset.digest}`" in section(card, "How it was built")


def test_what_recordings_say_is_no_markup(card: Card, page: Page) -> None:
    assert r"pour \<b\>\|x\</b\>" in section(card, "Tasks")
    html = card.html.read_text()
    body = html[: html.index("<script>")]
    assert "<b>" not in body
    assert "pour &lt;b&gt;|x&lt;/b&gt;" in body


def test_every_chart_has_its_place_and_says_what_was_counted(card: Card, page: Page) -> None:
    charts = json.loads(page.blocks["charts"])
    assert [name for name in page.ids if name.startswith("chart-")] == [f"chart-{n}" for n in range(len(charts))]
    tasks = next(chart for chart in charts if "open" in chart["data"][0].get("y", []))
    assert tasks["data"][0]["x"] == [2, 2, 5]
    heats = [chart for chart in charts if chart["data"][0]["type"] == "heatmap"]
    assert heats[0]["data"][0]["z"] == [[4, 1], [2, 0], [0, 2]]
    assert sum(sum(chart["data"][0]["y"]) for chart in charts if chart["layout"]["xaxis"].get("type") == "date") == 7


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)


def test_pictures_are_of_one_good_episode_of_each_task(page: Page) -> None:
    assert [image["alt"] for image in page.images] == [
        f"{task}, camera {camera}" for task in ("open", "close", "pour <b>|x</b>") for camera in ("fixed", "wrist")
    ]


def test_the_same_dataset_gives_the_same_bytes_anywhere(card: Card, verdicts: Path, tmp_path: Path) -> None:
    _VIEW.write_tree(tmp_path / "kitchen")
    again = write_card(parts_of(tmp_path / "kitchen"), tmp_path / "card", name="kitchen", verdicts=verdicts)
    assert again.markdown.read_bytes() == card.markdown.read_bytes()
    assert again.html.read_bytes() == card.html.read_bytes()


def test_a_card_of_some_episodes_says_which(parts: list[Part], tmp_path: Path) -> None:
    where = "task = 'open' or task like 'a|b'"
    some = write_card(select(parts, where), tmp_path, name="kitchen", where=where)
    assert r"Only episodes with `task = 'open' or task like 'a\|b'`." in some.markdown.read_text()
    assert "| kitchen | 5 of 9 |" in some.markdown.read_text()
    assert "## Verdicts" not in some.markdown.read_text()


def test_a_video_that_cannot_be_decoded_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    _VIEW.write_tree(tmp_path / "kitchen")
    for path in (tmp_path / "kitchen").rglob("*.mp4"):
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DatasetError, match="video cannot be decoded"):
        write_card(parts_of(tmp_path / "kitchen"), tmp_path / "card", name="kitchen")
    assert not (tmp_path / "card").exists()


def test_a_member_that_is_not_here_is_counted_and_shows_no_picture(tmp_path: Path) -> None:
    _VIEW.write_tree(tmp_path / "kitchen")
    write_subset(select(parts_of(tmp_path / "kitchen"), "task = 'open'"), tmp_path / "open")
    (tmp_path / "kitchen").rename(tmp_path / "away")
    absent = parts_of(tmp_path / "open", {})
    made = write_card(absent, tmp_path / "card", name="open")
    assert "| kitchen | 5 of 5 |" in made.markdown.read_text()
    assert Page(made.html.read_text()).images == []
    with pytest.raises(DatasetError, match=r"the dataset 'kitchen' .*is not on this machine"):
        view(find_episode(absent, "0" * 64, where="open"), tmp_path / "view")


def test_a_card_that_would_change_the_dataset_is_refused(tree: Path, parts: list[Part]) -> None:
    before = sorted(tree.rglob("*"))
    with pytest.raises(UsageError, match=r"lies in the dataset .*kitchen"):
        write_card(parts, tree / "card", name="kitchen")
    assert sorted(tree.rglob("*")) == before


def test_every_section_of_the_text_is_in_the_page(card: Card) -> None:
    titles = re.findall(r"^## (.*)$", card.markdown.read_text(), re.M)
    found = re.findall(r"<h2>(.*?)</h2>", card.html.read_text())
    assert found[: len(titles)] == titles
