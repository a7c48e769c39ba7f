"""Data Docs pages without clocks and dice."""

from __future__ import annotations

from pathlib import Path

from components.checks.docs_site import make_stable, stable_page

PAGE = """<p>20261121T005528.220752Z</p><a href="#b-{one}" id=b-{one}>{two}</a>
<img
    class="logo" src="https://great-expectations-web-assets.s3.us-east-2.amazonaws.com/l.png?d=20261121T005528.8Z"
    alt="GX">
<td>{shown}</td><td>episode 2026-01-05T08:00:00Z kept</td>"""
ONE, TWO = "78752f8b-c764-45ab-960d-1c182e1c8c30", "7c9b3d36-c62a-4e4a-b32f-79e232fcd96a"


def test_pages_of_two_runs_in_two_time_zones_become_one() -> None:
    first = stable_page(PAGE.format(one=ONE, two=TWO, shown="2000-01-01T00:00:00Z"))
    zones = ("2000-01-01 09:00:00 JST", "1999-12-31 19:00:00 EST", "2000-01-01 05:45:00 +0545")
    assert {stable_page(PAGE.format(one=TWO, two=ONE, shown=shown)) for shown in zones} == {first}


def test_ids_stay_different_and_links_stay_whole() -> None:
    text = stable_page(PAGE.format(one=ONE, two=TWO, shown=""))
    number = "00000000-0000-4000-8000-{:012d}".format
    assert f'href="#b-{number(0)}" id=b-{number(0)}>{number(1)}<' in text


def test_what_the_data_say_is_kept_and_no_logo_is_fetched() -> None:
    text = stable_page(PAGE.format(one=ONE, two=TWO, shown=""))
    assert "episode 2026-01-05T08:00:00Z kept" in text
    assert "<img" not in text
    assert "20000101T000000.000000Z" in text


def test_every_page_below_the_site_is_rewritten_and_nothing_else(tmp_path: Path) -> None:
    for name in ("index.html", "deep/er/page.html", "static/style.css"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(ONE)
    make_stable(tmp_path)
    assert "78752f8b" not in (tmp_path / "index.html").read_text() + (tmp_path / "deep/er/page.html").read_text()
    assert (tmp_path / "static/style.css").read_text() == ONE
