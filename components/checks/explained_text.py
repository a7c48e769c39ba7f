"""An explanation for a terminal."""

from __future__ import annotations

from components.checks.explain import Broken, Explanation, Judged
from components.checks.locate.subject import Place

# Ranges of ticks, places of one code, and numbers near their limit that are printed; --json has all.
_RANGES, _PLACES, _NEAR = 6, 8, 5
_ID = 12
_IS = {"at_most": "at most", "at_least": "at least", "up_to": "at most"}


def as_text(found: Explanation) -> str:
    row = found.row
    where = row["source_uri"] or "no source"
    lines = [f"episode {row['episode_index']} ({row['episode_id'][:_ID]}) of {row['task']}, {where}: {found.verdict}"]
    for broken in found.broken:
        lines += [heading(broken), *(f"  {place_text(found, place)}" for place in broken.places[:_PLACES])]
        if len(broken.places) > _PLACES:
            lines.append(f"  and {len(broken.places) - _PLACES} more places")
    near = [judged for judged in found.headroom if judged.used is not None][:_NEAR]
    lines.append(f"{len(found.headroom)} numbers hold; closest to their limits:" if near else "nothing else was judged")
    lines += [f"  {number(judged)} ({judged.used:.0%} of it)" for judged in near]
    lines += [f"not judged: {code}, because {why}" for code, why in found.not_judged.items()]
    return "\n".join(lines)


def heading(broken: Broken) -> str:
    said = ", ".join(number(judged) for judged in broken.numbers)
    return f"{broken.code} ({broken.severity}): {broken.meaning}" + (f"; {said}" if said else "")


def number(judged: Judged) -> str:
    if judged.limit is None or not isinstance(judged.value, (int, float)):
        return f"{judged.column} is {judged.value or 'empty'}"
    return f"{judged.column} is {judged.value:.4g}, allowed is {_IS[judged.kind]} {judged.limit:g}"


def place_text(found: Explanation, place: Place) -> str:
    head = " ".join(word for word in (place.kind, place.name) if word)
    return f"{head}: {place.note}" + (f"; {ticks_text(found, place)}" if place.ticks else "")


def ticks_text(found: Explanation, place: Place) -> str:
    """Such as "frames 16-28 (0.80-1.40 s), 30 (1.50 s)"."""
    ranges = found.ranges(place)
    said = [
        f"{r['first']}-{r['last']} ({r['from_s']:.2f}-{r['to_s']:.2f} s)"
        if r["last"] > r["first"]
        else f"{r['first']} ({r['from_s']:.2f} s)"
        for r in ranges[:_RANGES]
    ]
    more = len(ranges) - len(said)
    return f"frames {', '.join(said)}" + (f" and {more} more ranges" if more > 0 else "")
