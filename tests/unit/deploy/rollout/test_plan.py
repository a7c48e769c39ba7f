"""The state machine: by hand where a rule has a name, by hypothesis for what must hold whatever happens."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from components.core.errors import UsageError
from deploy.rollout.plan import (
    DRILL_MISSED,
    PAUSABLE,
    Cause,
    Decision,
    Event,
    Phase,
    Plan,
    apply,
    event_from_dict,
)

STEPS = [Event(Cause.STARTED), Event(Cause.LOADED), Event(Cause.WARMED_UP), Event(Cause.SHADOW_PASSED)]
PASS = Event(Cause.JUDGED, "not worse", Decision.PASS, evidence=30)
FAIL = Event(Cause.JUDGED, "worse", Decision.FAIL, evidence=10)
HOLD = Event(Cause.JUDGED, "inconclusive", Decision.HOLD, evidence=200)


def reach(phase: Phase, *, drill: bool = False) -> Plan:
    plan = Plan(drill=drill)
    for event in STEPS:
        if plan.phase is phase:
            return plan
        plan = apply(plan, event)
    after = {
        Phase.CANARY: [],
        Phase.PROMOTING: [PASS],
        Phase.DONE: [PASS, Event(Cause.PROMOTED)],
        Phase.ABORTING: [FAIL],
        Phase.ROLLED_BACK: [FAIL, Event(Cause.ROLLED_BACK)],
        Phase.PAUSED: [HOLD],
        Phase.FAILED: [FAIL, Event(Cause.FAULT, "gateway gone")],
    }
    for event in after[phase]:
        plan = apply(plan, event)
    assert plan.phase is phase
    return plan


def test_a_good_candidate_goes_all_the_way() -> None:
    plan = reach(Phase.DONE)
    assert plan.terminal
    assert plan.decision is Decision.PASS


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.DONE, Phase.ROLLED_BACK)])
def test_every_phase_that_has_not_ended_can_be_rolled_back(phase: Phase) -> None:
    plan = apply(apply(reach(phase), Event(Cause.ABORT, "asked to")), Event(Cause.ROLLED_BACK))
    assert plan.phase is Phase.ROLLED_BACK


def test_a_pass_without_evidence_is_refused() -> None:
    with pytest.raises(UsageError, match="No data is never success"):
        apply(reach(Phase.CANARY), Event(Cause.JUDGED, decision=Decision.PASS, evidence=0))


def test_inconclusive_pauses_and_a_person_may_let_it_go_on() -> None:
    held = apply(reach(Phase.CANARY), HOLD)
    assert held.phase is Phase.PAUSED
    again = apply(held, Event(Cause.RESUME, "another 400"))
    assert (again.phase, again.decision, again.extensions) == (Phase.CANARY, None, 1)


@pytest.mark.parametrize("phase", sorted(PAUSABLE))
def test_a_pause_comes_back_to_its_phase_without_more_episodes(phase: Phase) -> None:
    paused = apply(reach(phase), Event(Cause.PAUSE, "lunch"))
    assert paused.resting
    back = apply(paused, Event(Cause.RESUME))
    assert (back.phase, back.extensions, back.paused_from) == (phase, 0, None)


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.ABORTING, Phase.DONE, Phase.PAUSED])
def test_what_moves_traffic_to_its_end_cannot_be_paused(phase: Phase) -> None:
    with pytest.raises(UsageError, match=f"pause has no place in a rollout that is {phase.value}"):
        apply(reach(phase), Event(Cause.PAUSE))


@pytest.mark.parametrize("verdict", [PASS, HOLD])
def test_a_drill_without_an_alarm_is_rolled_back_and_counts_as_missed(verdict: Event) -> None:
    plan = apply(reach(Phase.CANARY, drill=True), verdict)
    assert (plan.phase, plan.reason) == (Phase.ABORTING, DRILL_MISSED)
    assert apply(plan, Event(Cause.ROLLED_BACK)).drill_missed


def test_a_drill_that_raises_the_alarm_did_its_work() -> None:
    plan = apply(apply(reach(Phase.CANARY, drill=True), FAIL), Event(Cause.ROLLED_BACK))
    assert not plan.drill_missed
    assert plan.reason == "worse"


def test_an_abort_keeps_its_first_reason_and_only_gets_harder() -> None:
    plan = apply(reach(Phase.CANARY), Event(Cause.ABORT, "first"))
    harder = apply(plan, Event(Cause.ABORT, "second", hard=True))
    assert (harder.reason, harder.hard) == ("first", True)
    assert apply(harder, Event(Cause.ABORT, "third")).hard


@pytest.mark.parametrize("event", [PASS, FAIL, HOLD, Event(Cause.ABORT, "x", hard=True), Event(Cause.RESUME)])
def test_events_survive_the_log(event: Event) -> None:
    assert event_from_dict(event.as_dict()) == event


EVENTS = st.builds(
    Event,
    cause=st.sampled_from(Cause),
    reason=st.just("any"),
    decision=st.one_of(st.none(), st.sampled_from(Decision)),
    evidence=st.integers(0, 3),
    hard=st.booleans(),
)


class AnyRollout(RuleBasedStateMachine):
    """Throws events at a plan, sensible ones and others, and watches what may never happen."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan()
        self.history: list[tuple[Phase, Event, Phase]] = []

    @initialize(drill=st.booleans(), ahead=st.integers(0, len(STEPS)))
    def begin(self, drill: bool, ahead: int) -> None:
        self.plan = Plan(drill=drill)
        for event in STEPS[:ahead]:
            self._take(event)

    def _take(self, event: Event) -> None:
        before = self.plan
        try:
            self.plan = apply(before, event)
        except UsageError:
            assert self.plan is before
            return
        self.history.append((before.phase, event, self.plan.phase))

    @rule(event=EVENTS)
    def anything(self, event: Event) -> None:
        self._take(event)

    @precondition(lambda self: not self.plan.terminal)
    @rule(data=st.data())
    def something_sensible(self, data: st.DataObject) -> None:
        self._take(data.draw(st.sampled_from([*STEPS, PASS, HOLD, FAIL, Event(Cause.PROMOTED), Event(Cause.RESUME)])))

    @invariant()
    def promotion_rests_on_a_pass_with_evidence(self) -> None:
        for before, event, after in self.history:
            if after is Phase.PROMOTING and before is not Phase.PROMOTING:
                assert before is Phase.CANARY
                assert event.decision is Decision.PASS
                assert event.evidence > 0

    @invariant()
    def done_comes_only_from_promoting(self) -> None:
        assert all(before is Phase.PROMOTING for before, _, after in self.history if after is Phase.DONE)

    @invariant()
    def a_drill_is_never_promoted(self) -> None:
        if self.plan.drill:
            assert not {after for _, _, after in self.history} & {Phase.PROMOTING, Phase.DONE}

    @invariant()
    def after_a_fail_or_an_abort_there_is_only_the_way_back(self) -> None:
        against = [
            index
            for index, (_, event, _) in enumerate(self.history)
            if event.cause is Cause.ABORT or (event.decision is Decision.FAIL and event.cause is Cause.JUDGED)
        ]
        if against:
            later = {after for _, _, after in self.history[against[0] :]}
            assert later <= {Phase.ABORTING, Phase.ROLLED_BACK, Phase.FAILED}

    @invariant()
    def a_hold_moves_no_traffic_to_the_candidate(self) -> None:
        for _, event, after in self.history:
            if event.decision is Decision.HOLD and event.cause is Cause.JUDGED:
                assert after in (Phase.PAUSED, Phase.ABORTING)

    @invariant()
    def the_end_is_the_end(self) -> None:
        assert all(before not in (Phase.DONE, Phase.ROLLED_BACK) for before, _, _ in self.history)

    @invariant()
    def the_way_back_is_always_open(self) -> None:
        if not self.plan.terminal:
            back = apply(apply(self.plan, Event(Cause.ABORT, "x")), Event(Cause.ROLLED_BACK))
            assert back.phase is Phase.ROLLED_BACK


TestAnyRollout = AnyRollout.TestCase
TestAnyRollout.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
