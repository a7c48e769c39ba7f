"""Carries a rollout plan out: looks at its phase, does what the phase asks for, logs what came of it.

Level-triggered: a phase's work may be begun again at any point, so a controller that was killed is followed by one that
replays the log and goes on. A decision is in the log before anything is done about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from components.core.errors import Busy, GriplineError, ServerError
from components.core.params import Rollout
from components.core.workspace import Workspace
from deploy.gateway.routes import Routes
from deploy.rollout import lines
from deploy.rollout.contracts import Fleet, FleetFactory, FleetJob, Outcome, RegistryPort, RobotsGone, ServingPort
from deploy.rollout.effects import Effects
from deploy.rollout.evidence import Evidence
from deploy.rollout.log import Arm, RolloutLog, State, load_state, read_requests
from deploy.rollout.plan import PAUSABLE, Cause, Decision, Event, Phase, Plan
from deploy.rollout.replay import judge_rollout

_WATCH_S = 1.0
_ROLLBACK_TRIES = 3
_EARLY = frozenset({Phase.PENDING, Phase.LOADING, Phase.WARM_UP, Phase.SHADOW, Phase.CANARY})

Step = tuple[Event, dict[str, Any]]


class Controller:
    """One controller of one rollout, for as long as it holds the lease."""

    def __init__(
        self,
        workspace: Workspace,
        state: State,
        log: RolloutLog,
        serving: ServingPort,
        registry: RegistryPort,
        fleet: FleetFactory,
    ) -> None:
        self.workspace = workspace
        self.brief = state.brief
        self.plan = state.plan
        # What was agreed when the rollout began holds to its end, whatever params.yaml says by now.
        self.rules = Rollout.model_validate(state.brief.rules)
        self.log = log
        self.effects = Effects(workspace, serving, registry, log)
        self.serving = serving
        self.evidence = Evidence(workspace, self.brief.rollout_id)
        self._answered = state.requests
        self._new_fleet = fleet
        self._fleet: Fleet | None = None
        self._robots = ExitStack()
        self._watched_at = 0.0

    def run(self) -> State:
        """Until the rollout rests."""
        # Robots die with their controller, so what they left open will never end.
        self.evidence.lose_open("its controller was gone")
        self._journal("begin")
        with self._robots:
            while self._move():
                pass
            self._settle()
        self._journal("end")
        return load_state(self.workspace, self.brief.rollout_id)

    def _move(self) -> bool:
        """One step; False where nothing is left to do."""
        asked = self._asked()
        if asked is None and self.plan.resting:
            return False
        event, numbers = asked or self._attempt()
        self.plan = self.log.event(event, self.plan, **numbers)
        if self._fleet is not None:
            # What begins after a decision is no evidence for it.
            self._fleet.begin_phase(self.plan.phase.value)
        return True

    def _attempt(self) -> Step:
        try:
            return self._step()
        except RobotsGone as error:
            return Event(Cause.PAUSE, f"no evidence: {error}"), {}
        except GriplineError as error:
            if isinstance(error, Busy) and error.where == str(self.workspace.rollouts):
                # The lease has another owner: not a word more from this one.
                raise
            if self.plan.phase is Phase.ABORTING:
                return Event(Cause.FAULT, f"the rollback did not work: {error}"), {}
            return Event(Cause.ABORT, str(error), hard=self.plan.phase is Phase.CANARY), {"error": error.as_dict()}

    def _step(self) -> Step:
        if self.plan.phase is Phase.ABORTING:
            return self._aborting()
        self.effects.gateway()
        if self.plan.phase in _EARLY:
            self.effects.loaded(self.brief.incumbent)
        steps: dict[Phase, Callable[[], Step]] = {
            Phase.PENDING: lambda: (Event(Cause.STARTED), {}),
            Phase.LOADING: self._loading,
            Phase.WARM_UP: self._warm_up,
            Phase.SHADOW: self._shadow,
            Phase.CANARY: self._canary,
            Phase.PROMOTING: self._promoting,
        }
        return steps[self.plan.phase]()

    def _loading(self) -> Step:
        # The incumbent alone gets new episodes while another server starts beside it.
        self.effects.routes(Routes(self.brief.incumbent.slot))
        self.effects.loaded(self.brief.candidate)
        return Event(Cause.LOADED), {}

    def _warm_up(self) -> Step:
        self.effects.loaded(self.brief.candidate)
        self.effects.warm_up(self.brief.candidate)
        return Event(Cause.WARMED_UP), {}

    def _shadow(self) -> Step:
        """Copies of real requests, whose answers no robot sees, until enough were answered."""
        candidate, incumbent = self.brief.candidate, self.brief.incumbent
        self.effects.loaded(candidate)
        self.effects.alias("canary", candidate.version)
        self.effects.routes(Routes(incumbent.slot, candidate=candidate.slot, mirror=True))
        for _ in self._episodes(Phase.SHADOW):
            if asked := self._asked():
                return asked
            stats = self.serving.slot_stats(candidate.slot)
            counts = {"answered": stats.success, "failed": stats.failure}
            if stats.failure:
                return Event(Cause.ABORT, f"shadow: {stats.failure} of the copied requests failed"), counts
            if stats.success >= self.rules.shadow_requests:
                return Event(Cause.SHADOW_PASSED), counts
        raise RobotsGone("the robots stopped")

    def _canary(self) -> Step:
        """A share of the new episodes, judged after each one that ends."""
        candidate, incumbent = self.brief.candidate, self.brief.incumbent
        self.effects.loaded(candidate)
        if decided := self._judge():
            return decided
        self.effects.alias("canary", candidate.version)
        self.effects.routes(Routes(incumbent.slot, candidate=candidate.slot, candidate_share=self.rules.canary_share))
        for outcome in self._episodes(Phase.CANARY):
            asked = self._asked() or (self._judge() if outcome else None)
            if asked:
                return asked
        raise RobotsGone("the robots stopped")

    def _judge(self) -> Step | None:
        upto = len(lines.read(self.evidence.path))
        verdict = judge_rollout(self.workspace, State(self.brief, self.plan), upto=upto)
        if verdict.decision is Decision.CONTINUE:
            return None
        event = Event(
            Cause.JUDGED, "; ".join(verdict.reasons), verdict.decision, evidence=verdict.pairs, hard=verdict.hard
        )
        return event, {"verdict": verdict.as_dict(), "evidence_lines": upto}

    def _promoting(self) -> Step:
        """The copy that was judged stays up and becomes the incumbent; only pointers move."""
        candidate, incumbent = self.brief.candidate, self.brief.incumbent
        self.effects.loaded(candidate)
        self.effects.alias("champion", candidate.version)
        self.effects.routes(Routes(candidate.slot))
        self.effects.no_alias("canary", candidate.version)
        self.effects.unloaded(incumbent, self.rules.drain_s, self._running_on(incumbent))
        return Event(Cause.PROMOTED), {}

    def _aborting(self) -> Step:
        """Back to the incumbent of the log. A hard abort takes running episodes along, else they end where they are."""
        candidate, incumbent = self.brief.candidate, self.brief.incumbent
        for remaining in reversed(range(_ROLLBACK_TRIES)):
            try:
                self.effects.gateway()
                self.effects.loaded(incumbent)
                self.effects.routes(Routes(incumbent.slot, pinned=not self.plan.hard))
                if self.effects.alias_of("champion") == candidate.version:
                    self.effects.alias("champion", incumbent.version)
                self.effects.no_alias("canary", candidate.version)
                drain_s = 0.0 if self.plan.hard else self.rules.drain_s
                self.effects.unloaded(candidate, drain_s, self._running_on(candidate))
                self.effects.routes(Routes(incumbent.slot))
                break
            except GriplineError as error:
                if not remaining:
                    raise
                self.log.note("rollback_again", error=str(error))
        return Event(Cause.ROLLED_BACK), {}

    def _settle(self) -> None:
        """A rollout that waits for a person exposes nobody."""
        if self.plan.phase is Phase.PAUSED:
            self.effects.gateway()
            self.effects.loaded(self.brief.incumbent)
            self.effects.routes(Routes(self.brief.incumbent.slot))

    def _episodes(self, phase: Phase) -> Iterator[Outcome | None]:
        """Ends of episodes, and None in between; sees to it that somebody serves and that evidence keeps coming."""
        if self._fleet is None:
            numbers = [item.number for item in self.evidence.episodes()]
            job = FleetJob(self.serving.url, self.brief.rollout_id, phase.value, max(numbers, default=-1) + 1)
            self._fleet = self._robots.enter_context(self._new_fleet(job))
        heard_at = time.monotonic()
        for outcome in self._fleet.episodes():
            heard_at = time.monotonic() if outcome else heard_at
            if time.monotonic() - heard_at > self.rules.evidence_timeout_s:
                raise RobotsGone(f"no episode ended for {self.rules.evidence_timeout_s:g} s")
            self._watch()
            yield outcome

    def _watch(self) -> None:
        """A dead gateway or incumbent is started again; a dead candidate ends the rollout."""
        if time.monotonic() - self._watched_at < _WATCH_S:
            return
        self._watched_at = time.monotonic()
        self.effects.gateway()
        self.effects.loaded(self.brief.incumbent)
        if not self.effects.serves(self.brief.candidate):
            raise ServerError("the candidate's server is down", where=f"slot {self.brief.candidate.slot}")

    def _running_on(self, arm: Arm) -> Callable[[], int]:
        def count() -> int:
            return sum(item.open and item.version == arm.version for item in self.evidence.episodes())

        return count

    def _asked(self) -> Step | None:
        """The next request of a person that fits the phase; the others are answered by a note."""
        for number, found in enumerate(read_requests(self.workspace, self.brief.rollout_id), start=1):
            if number <= self._answered:
                continue
            self._answered = number
            reason = f"{found['by']}: {found['reason']}"
            if _fits(found["action"], self.plan):
                return Event(Cause(found["action"]), reason), {"request": number}
            self.log.note("refused", request=number, action=found["action"], phase=self.plan.phase.value)
        return None

    def _journal(self, what: str) -> None:
        self.workspace.journal.write(
            f"rollout.{what}",
            rollout=self.brief.rollout_id,
            version=self.brief.candidate.version,
            phase=self.plan.phase.value,
            reason=self.plan.reason,
            drill=self.brief.drill,
        )


def _fits(action: str, plan: Plan) -> bool:
    if action == Cause.PAUSE.value:
        return plan.phase in PAUSABLE
    if action == Cause.RESUME.value:
        return plan.phase is Phase.PAUSED
    return not plan.terminal
