"""Pages that need nothing beside themselves: no server, no network, no other file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def render(template: str, **values: Any) -> str:
    """A page from `templates/`; text is escaped, `values` that are a `Markup` are not."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: (files("components.view") / "templates" / name).read_text()),
    )
    return environment.get_template(template).render(**values)


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
