"""The catalogue for people: the page docs/models/README.md, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

COMMAND = "gripline models --markdown > docs/models/README.md"
_INTRO = f"""# Models

Architectures that `train.preset` can name; `gripline models show PRESET` says more of one. The first size of a family
is the published one, the other trains on one core. Made by `{COMMAND}`."""
_COUNTED = """## Parameters

Counted by building each preset without numbers in it: a published size for the robot of its publication, the others
for the simulated cell (2 cameras of 96 px, state 4, actions 4, chunk 8)."""


def page(families: Sequence[dict[str, Any]]) -> str:
    """Markdown of `facts.families()`; the same catalogue gives the same text."""
    rows = [
        (
            f"[{one['title']}]({one['page']})",
            ", ".join(f"`{preset['preset']}`" for preset in one["presets"]),
            one["vision"],
            one["trunk"],
            one["head"],
            reads(one["presets"][0]["needs"]),
            one["rate"],
            one["source"],
        )
        for one in families
    ]
    heads = ("family", "presets", "vision", "trunk", "head", "reads", "control rate", "source")
    counts = [_count_row(preset) for one in families for preset in one["presets"]]
    parts = [
        _INTRO,
        _table(heads, rows),
        _COUNTED,
        _table(
            ("preset", "parameters", "published with, and not built", "published", "difference", "published by"), counts
        ),
    ]
    return "\n\n".join(parts) + "\n"


def reads(needs: dict[str, Any]) -> str:
    """What a preset looks at, in words."""
    senses = ["cameras", *(name for name in ("state", "instructions") if needs[name])]
    return ", ".join(senses)


def millions(count: int) -> str:
    """3.38 M, 51.59 M, 7,541 M."""
    value = count / 1e6
    return f"{value:,.0f} M" if value >= 1000 else f"{value:.2f} M"


def _count_row(preset: dict[str, Any]) -> tuple[str, ...]:
    said = preset["published"]
    if said is None:
        return f"`{preset['preset']}`", millions(preset["parameters"]), "", "", "", ""
    off = (preset["parameters"] + sum(said["unbuilt"].values())) / said["parameters"] - 1.0
    return (
        f"`{preset['preset']}`",
        millions(preset["parameters"]),
        "; ".join(f"{millions(number)}: {what}" for what, number in said["unbuilt"].items()),
        millions(said["parameters"]),
        f"{off:+.2%}",
        said["source"],
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
