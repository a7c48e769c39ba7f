"""What came of the trials, in words and as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from checkbench.api import Judged
from checkbench.faults import STRENGTHS
from checkbench.setting import Result


def recall(result: Result) -> float:
    """Share of what was faulty that carries this very code."""
    return sum(result.task.code in one.codes for one in result.found) / len(result.found)


def quarantined(result: Result) -> float:
    return sum(one.quarantined for one in result.found) / len(result.found)


def false_alarms(clean: Judged) -> dict[str, float]:
    """Code -> share of the clean episodes that carry it."""
    counted = Counter(code for codes in clean.codes.values() for code in codes)
    return {code: count / len(clean.codes) for code, count in sorted(counted.items())}


def lines(results: Sequence[Result], clean: Judged) -> Iterator[str]:
    """A table in Markdown, in the order of the results."""
    alarms, by_code = false_alarms(clean), defaultdict(dict)
    for result in results:
        by_code[result.task.code][result.task.strength] = result
    yield "| code | found: weak | middle | strong | set aside: weak | middle | strong | false alarms | faulty |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for code, of in by_code.items():
        cells = [percent(share(of[strength])) for share in (recall, quarantined) for strength in range(len(STRENGTHS))]
        counts = "/".join(str(len(of[strength].found)) for strength in range(len(STRENGTHS)))
        yield f"| `{code}` | {' | '.join(cells)} | {percent(alarms.pop(code, 0.0))} | {counts} |"
    yield ""
    for code, share in alarms.items():
        yield f"false alarms of `{code}`, which was not injected: {percent(share)}"
    for limit in sorted(clean.limits):
        yield f"broken by the clean episodes as a whole: {limit}"
    yield f"clean episodes set aside: {percent(len(clean.quarantined) / len(clean.codes))} of {len(clean.codes)}"


def as_json(results: Sequence[Result], clean: Judged, seconds: dict[str, float]) -> dict[str, Any]:
    found = [
        {
            **asdict(result.task),
            "recall": recall(result),
            "quarantined": quarantined(result),
            "found": [asdict(one) for one in result.found],
        }
        for result in results
    ]
    whole = {
        "episodes": len(clean.codes),
        "quarantined": len(clean.quarantined) / len(clean.codes),
        "limits": sorted(clean.limits),
    }
    return {"faults": found, "clean": {**whole, "false_alarms": false_alarms(clean)}, "seconds": seconds}


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
