"""Facts and report of rollouts that ended, rest, or have hardly begun."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from components.core.errors import RecordError
from deploy.rollout.facts import gather
from deploy.rollout.judge import CANDIDATE, INCUMBENT
from deploy.rollout.log import read_log, replay
from deploy.rollout.plan import Decision
from deploy.rollout.report import render, write_report


class Text(HTMLParser):
    """The words of a page; fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.extend(data.split())


@pytest.fixture
def bad(world: Any) -> Any:
    world.rates["2"] = 0.0
    world.run()
    return world


def test_facts_tell_the_phases_in_order_and_the_shares_beside_them(bad: Any) -> None:
    facts = gather(bad.workspace, "r")
    phases = [stay.phase for stay in facts.stays]
    assert phases == ["pending", "loading", "warm_up", "shadow", "canary", "aborting", "rolled_back"]
    assert all(stay.end_s is not None and stay.end_s >= stay.begin_s for stay in facts.stays[:-1])
    assert facts.shares.values[-1] == 0.0
    assert max(facts.shares.values) == bad.params.rollout.canary_share
    assert list(facts.shares.seconds) == sorted(facts.shares.seconds)


def test_facts_repeat_the_verdict_and_its_curves_end_at_it(bad: Any) -> None:
    facts = gather(bad.workspace, "r")
    logged = next(line["verdict"] for line in read_log(bad.workspace, "r") if "verdict" in line)
    assert facts.verdict.as_dict() == logged
    assert facts.verdict.decision is Decision.FAIL
    assert max(facts.e_harm.values) == logged["e_harm"] >= facts.rules.abort_threshold
    assert facts.e_promote.values[-1] == logged["e_promote"]
    assert len(facts.e_harm.seconds) == logged["pairs"]


def test_tallies_add_up(bad: Any) -> None:
    facts = gather(bad.workspace, "r")
    for table in (facts.by_task, facts.by_robot):
        candidate = [tally for (_, arm), tally in table.items() if arm == CANDIDATE]
        assert sum(tally.successes for tally in candidate) == 0
        assert sum(tally.known for tally in candidate) == facts.verdict.candidate_episodes
    shadow_and_canary = facts.arms[INCUMBENT].known
    assert shadow_and_canary > facts.verdict.incumbent_episodes


def test_a_promoted_candidate_ends_with_every_new_episode(world: Any) -> None:
    world.run()
    assert gather(world.workspace, "r").shares.values[-1] == 1.0


def test_the_report_says_what_happened_and_needs_no_other_file(bad: Any) -> None:
    page = write_report(bad.workspace, "r").read_text()
    words = " ".join(Text(page).words)
    assert "Version 2 against version 1: rolled back" in words
    assert "did worse in" in words
    assert page.count("<svg") == 1
    assert "<link" not in page
    assert "src=" not in page
    assert (bad.workspace.rollouts / "r" / "rollout.png").stat().st_size > 10_000


def test_a_rollout_that_never_reached_a_robot_has_a_report_too(world: Any) -> None:
    world.broken.add("2")
    world.run()
    facts = gather(world.workspace, "r")
    assert facts.by_task == {}
    assert "no evidence" in render(facts)


def test_what_a_person_writes_is_no_markup(world: Any) -> None:
    from deploy.rollout.log import request

    world.on_episode = lambda number: (
        number == 3 and request(world.workspace, "r", "abort", reason="<script>x</script>", by="eve")
    )
    world.run()
    page = write_report(world.workspace, "r").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_log_that_contradicts_itself_is_refused(bad: Any) -> None:
    log = read_log(bad.workspace, "r")
    with pytest.raises(RecordError, match="does not begin with its creation"):
        replay(log[1:])
    event = next(line for line in log if line["kind"] == "event")
    with pytest.raises(RecordError, match="replay says loading"):
        replay([line if line is not event else {**line, "phase": "done"} for line in log])
