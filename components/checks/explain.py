"""What the last check of a dataset found in one episode, and where: an object, a text and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.checks.check import MEASURES, REPORT, TABLE
from components.checks.codes import CHECKS, UNMEASURED, Rule, rules
from components.checks.locate.places import locate
from components.checks.locate.subject import Place, Subject
from components.checks.named import row_of
from components.checks.own.rows import Rows
from components.checks.suite import bound
from components.core.errors import InputError
from components.core.files import read_json
from components.core.params import Checks
from components.core.records import read_record
from components.dataset.reader import Dataset

_MEANINGS = {check.code: check.meaning for check in CHECKS}


@dataclass(frozen=True)
class Judged:
    """A number that was compared with a limit. `used`: the share of it that is used up, None where there is none."""

    code: str
    column: str
    kind: str
    value: float | str | None
    limit: float | None
    used: float | None


@dataclass(frozen=True)
class Broken:
    """A code that an episode broke: `numbers` are those that broke it."""

    code: str
    severity: str
    meaning: str
    numbers: tuple[Judged, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """`headroom`: what was judged and is no part of `broken`, the closest to its limit first."""

    subject: Subject
    verdict: str
    broken: tuple[Broken, ...]
    headroom: tuple[Judged, ...]
    not_judged: dict[str, str]

    @property
    def row(self) -> dict[str, Any]:
        return dict(self.subject.judged)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; ranges of ticks with the seconds at which they begin and end."""
        names = ("episode_id", "episode_index", "source_uri", "task", "robot_id", "site", "recorded_at")
        return {
            **{name: self.row[name] for name in names},
            "dataset_digest": self.subject.dataset.digest,
            "length": len(self.subject.time_s),
            "verdict": self.verdict,
            "broken": [self._broken(broken) for broken in self.broken],
            "headroom": [asdict(judged) for judged in self.headroom],
            "not_judged": self.not_judged,
        }

    def _broken(self, broken: Broken) -> dict[str, Any]:
        places = [{**asdict(place), "ticks": self.ranges(place)} for place in broken.places]
        return {**asdict(broken), "numbers": [asdict(judged) for judged in broken.numbers], "places": places}

    def ranges(self, place: Place) -> list[dict[str, float]]:
        return [
            {"first": first, "last": last, "from_s": self.at_s(first), "to_s": self.at_s(last)}
            for first, last in place.ticks
        ]

    def at_s(self, tick: int) -> float:
        """By the clock that ticks should have: that of the episode may be what is wrong."""
        return round(tick / self.subject.dataset.fps, 3)


def explain(dataset: Path, checks: Path, episode: str) -> Explanation:
    """`checks`: the folder of the last check of the dataset; `episode`: its number, id, how that begins, or source_uri.

    Raises `InputError` where there is no check of this dataset as it is, and `DatasetError` where there is no such
    episode, or more than one.
    """
    report = _report_of(dataset, checks)
    opened = Dataset.open(dataset)
    if report["dataset_digest"] != opened.digest:
        raise InputError(
            f"judged the dataset {report['dataset_digest'][:12]}, which is {opened.digest[:12]} now",
            where=str(checks),
            hint=f"Run `gripline check {dataset}` again",
        )
    params = Checks.model_validate(read_record(checks, "checks").params)
    table = _read(checks / TABLE)
    number = row_of(table, episode, where=str(dataset))
    row = table.slice(number, 1).to_pylist()[0]
    subject = Subject(opened, Rows(_read(checks / MEASURES), opened.embodiment), number, row, params)
    evidence = [
        entry
        for listed in (report["failed"], report["warned"])
        for found in listed
        if found["episode_id"] == row["episode_id"]
        for entry in found["evidence"]
    ]
    return _explained(subject, evidence, dict(report.get("not_judged", {})))


def _report_of(dataset: Path, checks: Path) -> dict[str, Any]:
    try:
        return dict(read_json(checks / REPORT))
    except FileNotFoundError as error:
        raise InputError(
            "no check of the dataset", where=str(checks), hint=f"Run `gripline check {dataset}` first"
        ) from error
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(checks / REPORT), hint="Run `gripline check` again") from error


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"unreadable: {error}", where=str(path), hint="Run `gripline check` again") from error


def _explained(subject: Subject, evidence: Sequence[dict[str, Any]], not_judged: dict[str, str]) -> Explanation:
    judged = _judged(subject)
    # Of the rules of a code one may only warn: an error is written over it.
    said = {entry["code"]: str(entry["severity"]) for entry in sorted(evidence, key=_is_error)}
    columns = {(entry["code"], entry["column"]) for entry in evidence}
    broken = tuple(
        Broken(
            code,
            severity,
            _MEANINGS.get(code, ""),
            tuple(one for one in judged if one.code == code and (code, one.column) in columns),
            tuple(locate(subject, code)),
        )
        for code, severity in sorted(said.items(), key=lambda item: (item[1], item[0]))
    )
    left = [one for one in judged if (one.code, one.column) not in columns]
    left.sort(key=lambda one: (-(one.used if one.used is not None else -1.0), one.code, one.column))
    verdict = "quarantined" if "error" in said.values() else "accepted"
    return Explanation(subject, verdict, broken, tuple(left), not_judged)


def _is_error(entry: dict[str, Any]) -> bool:
    return bool(entry["severity"] == "error")


def _judged(subject: Subject) -> list[Judged]:
    row = {UNMEASURED: 0.0, **subject.judged}
    return [
        Judged(check.code, rule.column, rule.kind, row[rule.column], limit, _used(rule, row[rule.column], limit))
        for check, rule in rules(subject.channels.can)
        if rule.column in row
        for limit in [bound(rule, subject.params)]
    ]


def _used(rule: Rule, value: float | str | None, limit: float | None) -> float | None:
    # Without a param the bound is part of what the check means, and there is no more or less of it.
    if limit is None or not rule.param or not isinstance(value, (int, float)):
        return None
    over, under = (limit, value) if rule.kind == "at_least" else (value, limit)
    return round(over / under, 6) if under > 0 else None
