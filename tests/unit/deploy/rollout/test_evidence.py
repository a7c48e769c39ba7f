"""Evidence: counted once, and what nobody saw end is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.files import read_lines
from components.core.workspace import Workspace
from deploy.rollout.evidence import Evidence, fold


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(Workspace(tmp_path), "r1")


def start(evidence: Evidence, episode: str, number: int = 0) -> None:
    evidence.start(episode, robot="cell-1", task="drawer-open", seed=7, phase="canary", number=number)


def test_an_episode_goes_from_open_to_known(evidence: Evidence) -> None:
    start(evidence, "e1")
    assert evidence.episodes()[0].open
    evidence.served("e1", "4")
    evidence.end("e1", success=True, steps=31, attempts=8, failures=1)
    (episode,) = evidence.episodes()
    assert (episode.version, episode.success, episode.open, episode.order) == ("4", True, False, 0)
    assert (episode.steps, episode.attempts, episode.failures) == (31, 8, 1)
    assert episode.started_at <= episode.ended_at


def test_what_is_reported_twice_counts_once_and_the_first_report_stands(evidence: Evidence) -> None:
    for _ in range(2):
        start(evidence, "e1")
        evidence.served("e1", "4")
    evidence.end("e1", success=False, steps=60, attempts=15, failures=0)
    evidence.end("e1", success=True, steps=1, attempts=1, failures=0)
    (episode,) = evidence.episodes()
    assert (episode.version, episode.success, episode.steps) == ("4", False, 60)


def test_an_episode_of_a_dead_robot_is_unknown_for_ever(evidence: Evidence) -> None:
    start(evidence, "e1")
    evidence.served("e1", "4")
    assert evidence.lose_open("robot gone") == 1
    assert evidence.lose_open("robot gone") == 0
    evidence.end("e1", success=True, steps=3, attempts=1, failures=0)
    (episode,) = evidence.episodes()
    assert (episode.success, episode.lost, episode.open) == (None, True, False)


def test_an_episode_of_two_versions_is_nobodys_success(evidence: Evidence) -> None:
    start(evidence, "e1")
    evidence.served("e1", "4")
    evidence.served("e1", "5")
    evidence.end("e1", success=True, steps=9, attempts=3, failures=0)
    (episode,) = evidence.episodes()
    assert (episode.version, episode.mixed, episode.success) == ("4", True, None)


def test_a_success_that_no_policy_served_is_no_success(evidence: Evidence) -> None:
    start(evidence, "e1")
    evidence.end("e1", success=True, steps=60, attempts=15, failures=15)
    (episode,) = evidence.episodes()
    assert (episode.success, episode.ended, episode.failures) == (None, True, 15)


def test_arms_are_ordered_by_first_answer_not_by_start(evidence: Evidence) -> None:
    for name in ("e1", "e2", "e3"):
        start(evidence, name)
    evidence.served("e3", "4")
    evidence.served("e1", "5")
    assert [(item.episode, item.order) for item in evidence.episodes()] == [("e1", 1), ("e2", -1), ("e3", 0)]


def test_actions_are_one_line_each_with_what_lineage_needs(evidence: Evidence, tmp_path: Path) -> None:
    for step in (0, 4):
        evidence.action("e1", step, version="4", bundle_digest="ab", robot="cell-1", task="t", latency_ms=12.34567)
    start(evidence, "e1")
    evidence.end("e1", success=False, steps=8, attempts=2, failures=0)
    first, second = read_lines(tmp_path / ".gripline/actions/r1.jsonl")
    assert (first["action_id"], second["action_id"]) == ("e1:0", "e1:4")
    assert set(first) == {
        "action_id", "episode", "step", "version", "bundle_digest", "robot", "task", "latency_ms", "at",
    }  # fmt: skip
    assert first["latency_ms"] == 12.346


LINES = st.lists(
    st.tuples(st.sampled_from(["start", "served", "end", "lost"]), st.sampled_from("abc"), st.booleans()), max_size=25
)


@given(LINES)
def test_folding_never_invents_a_success(found: list[tuple[str, str, bool]]) -> None:
    log = [
        {
            "kind": kind, "episode": name, "success": success, "version": "4", "robot": "r", "task": "t", "seed": 1,
            "phase": "canary", "number": 0, "steps": 1, "attempts": 1, "failures": 0, "at": str(index),
        }
        for index, (kind, name, success) in enumerate(found)
    ]  # fmt: skip
    for episode in fold(log):
        kinds = [kind for kind, name, _ in found if name == episode.episode]
        if episode.success:
            assert {"start", "served", "end"} <= set(kinds)
        if episode.lost:
            assert episode.success is None
    assert fold([line for line in log for _ in range(2)]) == fold(log)
