"""Every fault is found where it was injected, by its own check alone; good episodes are left alone."""

from __future__ import annotations

from types import ModuleType

import pytest

from components.checks.codes import CODES
from components.checks.gx import Finding
from components.checks.verdicts import evidence_of
from components.core.params import Checks

# These depend on the table as a whole: test_table.py and test_verdicts.py.
TABLE_CODES = {"duplicate_episode", "unmeasured"}

Judged = tuple[dict[str, tuple[str, int]], list[Finding]]


def codes_by_episode(findings: list[Finding]) -> dict[str, set[str]]:
    return {episode: {entry["code"] for entry in entries} for episode, entries in evidence_of(findings).items()}


@pytest.mark.parametrize("code", [code for code in CODES if code not in TABLE_CODES])
def test_an_injected_fault_breaks_its_own_check_and_no_other(code: str, findings_of_faults: Judged) -> None:
    injected, findings = findings_of_faults
    found = codes_by_episode(findings)
    ways = {number: found.get(episode, set()) for episode, (fault, number) in injected.items() if fault == code}
    assert ways, f"no fault is injected for {code}"
    assert ways == {number: {code} for number in ways}


def test_good_episodes_are_left_alone(findings_of_faults: Judged) -> None:
    injected, findings = findings_of_faults
    assert set(codes_by_episode(findings)) == set(injected)


def test_severities_come_from_the_params(findings_of_faults: Judged, params: Checks) -> None:
    warned = {finding.meta["code"] for finding in findings_of_faults[1] if finding.meta["severity"] == "warn"}
    assert warned == set(params.warn)


@pytest.mark.parametrize("seed", range(200, 212))
def test_a_good_episode_has_headroom_in_every_measure(seed: int, episodes: ModuleType, params: Checks) -> None:
    """So that a fault that is found is found for its own sake."""
    row = episodes.good(seed).reduce()
    assert row["nan_count"] == row["clock_backwards"] == row["clock_stopped"] == row["action_out_of_range_share"] == 0
    assert row["frozen_share"] == row["black_share"] == 0.0
    assert row["motion_m"] > 2 * params.idle_motion_m
    assert row["state_jump_m"] < params.state_jump_max_m / 2
    assert row["dropped_share"] < params.dropped_share_max / 2
    assert row["action_lag_frames"] == 1
    assert row["misalignment_ms"] <= params.misalignment_max_ms
