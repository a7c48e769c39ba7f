"""Pages that need nothing beside themselves: no server, no network, no other file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_OWN = "components.core"


def render(package: str, template: str, **values: Any) -> str:
    """A page from `templates/` of a package; text is escaped, `values` that are a `Markup` are not.

    What all pages share is `base.html.j2`, which lies in `templates/` here.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: _source(package, name)),
    )
    return environment.get_template(template).render(**values)


def _source(package: str, name: str) -> str | None:
    places = (files(owner) / "templates" / name for owner in (package, _OWN))
    return next((place.read_text() for place in places if place.is_file()), None)


def script_json(value: Any) -> Any:
    """JSON that stands in a script element: it cannot end the element, whatever a recording says."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def plotly_js() -> Any:
    """The whole of plotly.js."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())
