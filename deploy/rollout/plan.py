"""The rollout as a pure state machine: no clock, no files, no servers.

    pending -> loading -> warm_up -> shadow -> canary -> promoting -> done
        every phase before done -> aborting -> rolled_back; aborting -> failed where the rollback itself broke
        pending .. canary -> paused -> back to the phase that was paused

What the machine refuses, whoever asks: promotion without a pass on evidence, promotion of a drill, promotion after a
fail, any move out of `done` and `rolled_back`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from components.core.errors import UsageError

DRILL_MISSED = "drill ended without an alarm"


class Phase(StrEnum):
    PENDING = "pending"
    LOADING = "loading"
    WARM_UP = "warm_up"
    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTING = "promoting"
    DONE = "done"
    ABORTING = "aborting"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"
    FAILED = "failed"


class Cause(StrEnum):
    STARTED = "started"
    LOADED = "loaded"
    WARMED_UP = "warmed_up"
    SHADOW_PASSED = "shadow_passed"
    JUDGED = "judged"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORT = "abort"
    PAUSE = "pause"
    RESUME = "resume"
    FAULT = "fault"


class Decision(StrEnum):
    """What a judge says. `CONTINUE` moves nothing."""

    CONTINUE = "continue"
    PASS = "pass"
    FAIL = "fail"
    HOLD = "hold"


TERMINAL = frozenset({Phase.DONE, Phase.ROLLED_BACK})
# Phases in which the driver has nothing to do until a person speaks.
RESTING = TERMINAL | {Phase.PAUSED, Phase.FAILED}
PAUSABLE = frozenset({Phase.PENDING, Phase.LOADING, Phase.WARM_UP, Phase.SHADOW, Phase.CANARY})

_FORWARD = {
    (Phase.PENDING, Cause.STARTED): Phase.LOADING,
    (Phase.LOADING, Cause.LOADED): Phase.WARM_UP,
    (Phase.WARM_UP, Cause.WARMED_UP): Phase.SHADOW,
    (Phase.SHADOW, Cause.SHADOW_PASSED): Phase.CANARY,
    (Phase.PROMOTING, Cause.PROMOTED): Phase.DONE,
    (Phase.ABORTING, Cause.ROLLED_BACK): Phase.ROLLED_BACK,
    (Phase.ABORTING, Cause.FAULT): Phase.FAILED,
}


@dataclass(frozen=True)
class Event:
    """Something that happened. `evidence`: pairs of episodes behind a verdict; `hard`: the candidate must not even
    finish the episodes that it is serving."""

    cause: Cause
    reason: str = ""
    decision: Decision | None = None
    evidence: int = 0
    hard: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "cause": self.cause.value,
            "reason": self.reason,
            "decision": self.decision.value if self.decision else None,
            "evidence": self.evidence,
            "hard": self.hard,
        }


def event_from_dict(value: dict[str, Any]) -> Event:
    """Inverse of `Event.as_dict`; other keys are ignored."""
    decision = value.get("decision")
    return Event(
        Cause(value["cause"]),
        value.get("reason", ""),
        Decision(decision) if decision else None,
        int(value.get("evidence", 0)),
        bool(value.get("hard", False)),
    )


@dataclass(frozen=True)
class Plan:
    """Where a rollout stands. `extensions`: how often a person let a held rollout collect more evidence."""

    phase: Phase = Phase.PENDING
    drill: bool = False
    decision: Decision | None = None
    reason: str = ""
    hard: bool = False
    paused_from: Phase | None = None
    extensions: int = 0

    @property
    def terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def resting(self) -> bool:
        return self.phase in RESTING

    @property
    def drill_missed(self) -> bool:
        """A drill that rolled back, but not because the judge found the fault that was planted."""
        return self.drill and self.phase in (Phase.ABORTING, Phase.ROLLED_BACK) and self.decision is not Decision.FAIL


def apply(plan: Plan, event: Event) -> Plan:
    """The plan after `event`. Raises `UsageError` where the event has no place in the plan's phase."""
    if plan.terminal:
        raise _refused(plan, event)
    if event.cause is Cause.ABORT:
        return _abort(plan, event.reason, event.hard)
    if event.cause is Cause.JUDGED:
        return _judged(plan, event)
    if event.cause is Cause.PAUSE and plan.phase in PAUSABLE:
        return replace(plan, phase=Phase.PAUSED, paused_from=plan.phase, reason=event.reason)
    if event.cause is Cause.RESUME and plan.phase is Phase.PAUSED and plan.paused_from is not None:
        held = plan.decision is Decision.HOLD
        return replace(
            plan,
            phase=plan.paused_from,
            paused_from=None,
            reason=event.reason,
            decision=None if held else plan.decision,
            extensions=plan.extensions + held,
        )
    following = _FORWARD.get((plan.phase, event.cause))
    if following is None:
        raise _refused(plan, event)
    return replace(plan, phase=following, reason=event.reason or plan.reason)


def _abort(plan: Plan, reason: str, hard: bool) -> Plan:
    # An abort that is under way keeps its first reason; a second request may only make it harder.
    if plan.phase is Phase.ABORTING:
        return replace(plan, hard=plan.hard or hard)
    return replace(plan, phase=Phase.ABORTING, reason=reason, hard=plan.hard or hard, paused_from=None)


def _judged(plan: Plan, event: Event) -> Plan:
    if event.decision is Decision.FAIL and plan.phase is not Phase.FAILED:
        return replace(_abort(plan, event.reason, event.hard), decision=Decision.FAIL)
    if plan.phase is not Phase.CANARY:
        raise _refused(plan, event)
    if event.decision is Decision.PASS and event.evidence <= 0:
        raise UsageError("a pass without evidence", hint="No data is never success")
    if event.decision not in (Decision.PASS, Decision.HOLD):
        raise _refused(plan, event)
    decided = replace(plan, decision=event.decision, reason=event.reason)
    if plan.drill:
        return replace(decided, phase=Phase.ABORTING, reason=DRILL_MISSED)
    if event.decision is Decision.PASS:
        return replace(decided, phase=Phase.PROMOTING)
    return replace(decided, phase=Phase.PAUSED, paused_from=Phase.CANARY)


def _refused(plan: Plan, event: Event) -> UsageError:
    what = f"{event.cause.value} ({event.decision.value})" if event.decision else event.cause.value
    return UsageError(f"{what} has no place in a rollout that is {plan.phase.value}")
