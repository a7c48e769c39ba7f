"""The driver against a world in memory: where rollouts end, and what they leave behind."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.errors import Busy, GateRefused, ServerError, UsageError
from deploy.gateway.routes import Routes
from deploy.rollout.driver import new_id
from deploy.rollout.evidence import Evidence
from deploy.rollout.lease import Lease
from deploy.rollout.log import State, load_state, read_log, request, rollouts, unfinished
from deploy.rollout.plan import DRILL_MISSED, Decision, Phase
from deploy.rollout.replay import judge_rollout


def served(world: Any) -> tuple[Any, ...]:
    """(champion, version that new episodes get, loaded versions, whether a canary alias is left)"""
    assert world.routes.candidate_share == 0
    assert world.routes.pinned
    loaded = sorted(found["version"] for found in world.slots.values())
    return world.aliases["champion"], world.slots[world.routes.incumbent]["version"], loaded, "canary" in world.aliases


def hold(world: Any) -> State:
    """A rollout of an equal candidate under a margin that its episodes cannot prove."""
    strict = world.params.rollout.model_copy(update={"margin": 0.05, "max_episodes": 24})
    world.params = world.params.model_copy(update={"rollout": strict})
    return world.run()


PROMOTED = ("2", "2", ["2"], False)
REVERTED = ("1", "1", ["1"], False)


def test_an_equal_candidate_is_promoted_without_being_loaded_again(world: Any) -> None:
    state = world.run()
    assert state.plan.phase is Phase.DONE
    assert served(world) == PROMOTED
    assert sum(call.startswith("load") and call.endswith("2") for call in world.calls) == 1


def test_a_bad_candidate_is_rolled_back(world: Any) -> None:
    world.rates["2"] = 0.0
    state = world.run()
    assert (state.plan.phase, state.plan.decision) == (Phase.ROLLED_BACK, Decision.FAIL)
    assert "did worse in" in state.plan.reason
    assert served(world) == REVERTED


def test_a_candidate_whose_requests_fail_is_rolled_back_hard(world: Any) -> None:
    world.errors["2"] = 0.3
    state = world.run()
    assert (state.plan.phase, state.plan.hard) == (Phase.ROLLED_BACK, True)
    assert "requests:" in state.plan.reason
    routes = [line for line in read_log(world.workspace, "r") if line.get("effect") == "routes"]
    assert any(line["pinned"] is False for line in routes)
    assert served(world) == REVERTED


def test_an_unclear_candidate_is_held_and_exposes_nobody(world: Any) -> None:
    state = hold(world)
    assert (state.plan.phase, state.plan.decision) == (Phase.PAUSED, Decision.HOLD)
    assert served(world)[:3] == ("1", "1", ["1", "2"])
    assert unfinished(world.workspace) == ["r"]


def test_a_held_rollout_gets_more_episodes_when_a_person_says_so(world: Any) -> None:
    held = hold(world)
    assert world.resume().plan == held.plan
    request(world.workspace, "r", "resume", reason="look longer", by="ann")
    state = world.resume()
    assert (state.plan.phase, state.plan.extensions) == (Phase.PAUSED, 1)
    assert "inconclusive after 48 episodes" in state.plan.reason


def test_an_aborted_hold_is_rolled_back_without_its_controller(world: Any) -> None:
    hold(world)
    request(world.workspace, "r", "abort", reason="enough", by="ann")
    assert world.resume().plan.reason == "ann: enough"
    assert served(world) == REVERTED


@pytest.mark.parametrize(("rate", "phase"), [(1.0, Phase.ROLLED_BACK), (0.0, Phase.ROLLED_BACK)])
def test_a_drill_is_never_promoted_and_needs_no_gate(world: Any, rate: float, phase: Phase) -> None:
    world.gated.remove("2")
    world.rates["2"] = rate
    state = world.run(drill=True)
    assert state.plan.phase is phase
    assert state.plan.drill_missed == (rate == 1.0)
    assert (state.plan.reason == DRILL_MISSED) == (rate == 1.0)
    assert served(world) == REVERTED


def test_requests_of_a_person_are_obeyed_between_episodes(world: Any) -> None:
    def ask(number: int) -> None:
        if number == 4:
            request(world.workspace, "r", "resume", reason="pointless", by="bob")
            request(world.workspace, "r", "pause", reason="lunch", by="bob")

    world.on_episode = ask
    paused = world.run()
    assert (paused.plan.phase, paused.plan.reason) == (Phase.PAUSED, "bob: lunch")
    assert any(line.get("name") == "refused" for line in read_log(world.workspace, "r"))
    request(world.workspace, "r", "resume", reason="back", by="bob")
    assert world.resume().plan.phase is Phase.DONE


def test_a_candidate_that_does_not_start_leaves_the_incumbent_alone(world: Any) -> None:
    world.broken.add("2")
    state = world.run()
    assert (state.plan.phase, state.plan.reason) == (Phase.ROLLED_BACK, "version 2 does not start.")
    assert served(world) == REVERTED


def test_a_promotion_that_is_refused_is_rolled_back(world: Any) -> None:
    world.on_episode = lambda number: world.gated.discard("2")
    state = world.run()
    assert (state.plan.phase, state.plan.decision) == (Phase.ROLLED_BACK, Decision.PASS)
    assert "did not pass the gate" in state.plan.reason
    assert served(world) == REVERTED


def test_a_promotion_that_breaks_after_the_pointers_moved_is_taken_back(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = type(world.ports()["serving"])
    unload = serving.unload

    def stuck(self: Any, slot: str) -> None:
        if world.slots[slot]["version"] == "1":
            raise ServerError("the old server does not end")
        unload(self, slot)

    monkeypatch.setattr(serving, "unload", stuck)
    state = world.run()
    assert state.plan.phase is Phase.ROLLED_BACK
    assert "alias champion 2 done" in world.calls
    assert served(world) == REVERTED


def test_a_candidate_whose_server_dies_is_rolled_back(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.rollout.controller._WATCH_S", 0.0)

    def die(number: int) -> None:
        for found in world.slots.values():
            if number == 6 and found["version"] == "2":
                found["ready"] = False

    world.on_episode = die
    state = world.run()
    assert state.plan.phase is Phase.ROLLED_BACK
    assert "server is down" in state.plan.reason
    assert served(world) == REVERTED


def test_an_incumbent_or_gateway_that_dies_is_started_again(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.rollout.controller._WATCH_S", 0.0)

    def die(number: int) -> None:
        if number == 5:
            world.gateway = False
        if number == 6:
            world.slots[world.routes.incumbent]["ready"] = False

    world.on_episode = die
    assert world.run().plan.phase is Phase.DONE
    assert served(world) == PROMOTED
    assert world.gateway


def test_robots_that_stop_reporting_pause_the_rollout(world: Any) -> None:
    def run_dry(number: int) -> None:
        if number == 9:
            raise_gone()

    def raise_gone() -> None:
        from deploy.rollout.contracts import RobotsGone

        raise RobotsGone("all of them fell over")

    world.on_episode = run_dry
    state = world.run()
    assert state.plan.phase is Phase.PAUSED
    assert "no evidence" in state.plan.reason
    assert served(world)[1] == "1"


def test_failed_shadow_requests_end_the_rollout_before_any_robot_is_exposed(world: Any) -> None:
    world.on_episode = lambda number: world.stats[world.routes.candidate].__setitem__(1, number)
    state = world.run()
    assert state.plan.phase is Phase.ROLLED_BACK
    assert "shadow: 1 of the copied requests failed" in state.plan.reason
    assert {item.version for item in Evidence(world.workspace, "r").episodes()} == {"1"}


def test_a_rollback_that_cannot_be_done_waits_for_a_person(world: Any) -> None:
    world.rates["2"] = 0.0
    world.on_episode = lambda number: world.broken.add("1") or world.slots["a"].update(ready=number < 8)
    state = world.run()
    assert state.plan.phase is Phase.FAILED
    world.broken.clear()
    request(world.workspace, "r", "abort", reason="mended", by="ann")
    assert world.resume().plan.phase is Phase.ROLLED_BACK
    assert served(world) == REVERTED


def test_the_verdict_can_be_drawn_again_from_the_evidence(world: Any) -> None:
    world.rates["2"] = 0.0
    state = world.run()
    line = next(line for line in read_log(world.workspace, "r") if line.get("decision"))
    again = judge_rollout(world.workspace, state, upto=line["evidence_lines"])
    assert again.as_dict() == line["verdict"]


def test_what_begins_after_the_decision_is_no_evidence(world: Any) -> None:
    world.run()
    phases = [item.phase for item in Evidence(world.workspace, "r").episodes()]
    assert phases == sorted(phases, key=["shadow", "canary"].index)
    assert {"shadow", "canary"} == set(phases)


def test_a_second_rollout_has_to_wait(world: Any) -> None:
    hold(world)
    with pytest.raises(Busy, match="rollout r has not ended"):
        world.run()


def test_a_living_controller_keeps_others_out(world: Any) -> None:
    with Lease(world.workspace.rollouts, 30.0), pytest.raises(Busy, match="drives a rollout"):
        world.run()


@pytest.mark.parametrize(
    ("champion", "gated", "error", "message"),
    [
        (None, {"2"}, UsageError, "no champion"),
        ("2", {"2"}, UsageError, "champion already"),
        ("1", {"1"}, GateRefused, "did not pass the gate"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_touched(
    world: Any, champion: str | None, gated: set[str], error: type[Exception], message: str
) -> None:
    world.aliases = {"champion": champion} if champion else {}
    world.gated = gated
    with pytest.raises(error, match=message):
        world.run()
    assert world.calls == []
    assert rollouts(world.workspace) == []


def test_the_rules_of_the_beginning_hold_to_the_end(world: Any, small_params: Any) -> None:
    hold(world)
    generous = small_params.rollout.model_copy(update={"margin": 0.9})
    world.params = small_params.model_copy(update={"rollout": generous})
    request(world.workspace, "r", "resume", reason="go on", by="ann")
    state = world.resume()
    assert (state.brief.rules["margin"], state.plan.phase) == (0.05, Phase.PAUSED)


def test_resuming_what_has_ended_changes_nothing(world: Any) -> None:
    done = world.run()
    calls = len(world.calls)
    assert world.resume() == done
    assert len(world.calls) == calls


def test_ids_sort_by_time_and_are_not_reused(world: Any) -> None:
    first = new_id(world.workspace, "2")
    lines_path = world.workspace.rollouts / first / "log.jsonl"
    lines_path.parent.mkdir(parents=True)
    lines_path.write_text("{}\n")
    assert new_id(world.workspace, "2") > first


def test_an_unknown_rollout_or_request_is_named(world: Any) -> None:
    with pytest.raises(UsageError, match="no rollout 'x'; there are: none"):
        load_state(world.workspace, "x")
    with pytest.raises(UsageError, match="no request 'promote'"):
        request(world.workspace, "x", "promote", reason="", by="")


def test_routes_are_put_back_where_somebody_changed_them(world: Any) -> None:
    hold(world)
    world.routes = Routes("a", candidate="b", candidate_share=0.9)
    world.resume()
    assert world.routes == Routes("a")
