"""What `gripline check` says to people."""

from __future__ import annotations

from typing import Any

from flows.commands.checked import as_text


def entry(name: str, *evidence: dict[str, Any]) -> dict[str, Any]:
    codes = sorted({one["code"] for one in evidence})
    return {"episode_id": name * 64, "source_uri": f"{name}.mcap", "codes": codes, "evidence": list(evidence)}


def broken(code: str, value: Any, limit: float | None, severity: str = "error") -> dict[str, Any]:
    return {"code": code, "severity": severity, "column": f"{code}_share", "value": value, "limit": limit}


def report(**changes: Any) -> dict[str, Any]:
    places = {"report": "r.html", "verdicts": "v.parquet", "docs": "d.html"}
    plain = {"episodes": 9, "failed": [], "warned": [], "limits": [], "drift": {"baseline": None, "columns": {}}}
    return plain | places | changes


def limit(name: str, severity: str, passed: bool = False) -> dict[str, Any]:
    return {"name": name, "value": 2.0, "limit": 5.0, "passed": passed, "severity": severity}


def test_a_sound_dataset_takes_two_lines() -> None:
    assert as_text(report()).splitlines() == [
        "9 episodes, 0 set aside, 0 accepted with warnings",
        "report in r.html, verdicts in v.parquet, docs in d.html",
    ]


def test_what_sets_an_episode_aside_comes_before_what_warns() -> None:
    aside = entry("a", broken("blurred", 1.23456789, 1.1, "warn"), broken("nan", 3.0, 0.0))
    text = as_text(report(failed=[aside]))
    assert (
        "  a.mcap (aaaaaaaaaaaa): nan (nan_share 3, limit 0), blurred (blurred_share 1.235, limit 1.1, warns)" in text
    )
    assert "--explain EPISODE" in text


def test_a_value_without_a_limit_is_said_as_it_is() -> None:
    text = as_text(report(failed=[entry("a", broken("duplicate_episode", "b" * 64, None))]))
    assert f"duplicate_episode (duplicate_episode_share {'b' * 64})" in text


def test_warnings_are_counted_by_code() -> None:
    one, other = broken("no_consent", 0.0, 1.0, "warn"), broken("action_jump", 2.0, 1.0, "warn")
    text = as_text(report(warned=[entry("a", one), entry("b", one, other)]))
    assert "warned: no_consent 2, action_jump 1" in text


def test_limits_take_a_line_a_severity() -> None:
    limits = [limit("min_a:x", "error"), limit("min_b:y", "warn"), limit("min_b:z", "warn"), limit("c", "warn", True)]
    lines = as_text(report(limits=limits)).splitlines()
    assert "the dataset fails min_a:x: 2, the limit is 5" in lines
    assert "the dataset passes with warnings: min_b:y: 2, the limit is 5; min_b:z: 2, the limit is 5" in lines


def test_the_version_that_drift_was_measured_against_is_named() -> None:
    assert "against dataset 012345678901\n" in as_text(report(drift={"baseline": "0123456789012", "columns": {}}))
