"""The episode table: rates that are known from elsewhere, and duplicates."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from components.checks.table import mark_duplicates, nominal_rates

IDLE_M = 0.02


def row(name: str, second: int, **changes: Any) -> dict[str, Any]:
    base = {"episode_id": name, "recorded_at": f"2026-01-05T08:00:{second:02d}Z", "source_uri": f"{name}.mcap"}
    return {**base, "pixel_sha256": f"pixels {name}", "motion_sha256": f"motion {name}", "motion_m": 0.3, **changes}


def duplicates(*rows: dict[str, Any]) -> dict[str, str]:
    table = mark_duplicates(pd.DataFrame(rows), IDLE_M)
    return dict(zip(table["episode_id"], table["duplicate_of"], strict=True))


def test_episodes_that_differ_are_no_duplicates() -> None:
    assert duplicates(row("a", 1), row("b", 2)) == {"a": "", "b": ""}


def test_the_earliest_recording_is_the_original_whatever_its_place() -> None:
    assert duplicates(row("a", 9, pixel_sha256="p"), row("b", 2, pixel_sha256="p")) == {"a": "b", "b": ""}


def test_the_same_motion_under_other_pixels_is_a_copy_too() -> None:
    assert duplicates(row("a", 1, motion_sha256="m"), row("b", 2, motion_sha256="m")) == {"a": "", "b": "a"}


def test_arms_that_stand_still_move_alike_and_are_no_copies() -> None:
    still = {"motion_sha256": "m", "motion_m": 0.001}
    assert duplicates(row("a", 1, **still), row("b", 2, **still)) == {"a": "", "b": ""}


def test_a_chain_of_copies_leads_to_one_original() -> None:
    found = duplicates(
        row("a", 1, pixel_sha256="p"), row("b", 2, pixel_sha256="p", motion_sha256="m"), row("c", 3, motion_sha256="m")
    )
    assert found == {"a": "", "b": "a", "c": "a"}


def test_recordings_without_a_date_are_told_apart_by_their_source() -> None:
    undated = {"recorded_at": "", "pixel_sha256": "p"}
    assert duplicates(row("b", 1, **undated), row("a", 1, **undated)) == {"a": "", "b": "a"}


def test_a_reduced_copy_is_found(episodes: ModuleType) -> None:
    first, copy = episodes.good(1).reduce(), episodes.good(1).reduce()
    copy |= {"episode_id": "copy", "recorded_at": "2026-02-01T08:00:00Z"}
    table = mark_duplicates(pd.DataFrame([first, copy, episodes.good(2).reduce()]), IDLE_M)
    assert table["duplicate_of"].tolist() == ["", first["episode_id"], ""]


def test_nominal_rates_are_medians_by_format_and_stream() -> None:
    identities = [
        {"episode_id": n, "source_format": f} for n, f in (("a", "mcap"), ("b", "mcap"), ("c", "mcap"), ("d", "hdf5"))
    ]
    rates = {"a": 30.0, "b": 15.0, "c": 31.0, "d": 20.0}
    streams = {n: [{"stream": "fixed", "rate_hz": rate}] for n, rate in rates.items()}
    assert nominal_rates(identities, streams) == {"mcap": {"fixed": 30.0}, "hdf5": {"fixed": 20.0}}


def test_an_episode_without_streams_has_no_nominal_rates() -> None:
    assert nominal_rates([{"episode_id": "a", "source_format": "mcap"}], {"a": []}) == {"mcap": {}}


def test_many_lost_samples_show_against_the_rate_of_the_others(episodes: ModuleType) -> None:
    sample = episodes.FAULTS["dropped_frames"][1](episodes.good(1))
    assert sample.reduce()["dropped_share"] == pytest.approx(0.5, abs=0.02)
