from __future__ import annotations

import json

import pytest
from markupsafe import Markup

from components.core.page import render, script_json


def test_a_page_of_one_package_stands_on_what_all_share() -> None:
    page = render("components.core", "base.html.j2", title="<b>")
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;b&gt;</title>" in page


def test_a_template_that_is_nowhere_is_an_error() -> None:
    from jinja2 import TemplateNotFound

    with pytest.raises(TemplateNotFound, match=r"gone\.html\.j2"):
        render("components.core", "gone.html.j2")


def test_json_cannot_end_the_script_that_it_stands_in() -> None:
    told = {"said": "</script><script>alert(1)</script> & é"}
    text = script_json(told)
    assert isinstance(text, Markup)
    assert "<" not in text
    assert json.loads(text) == told
