"""The judge: an anytime-valid comparison of candidate and incumbent, a pure function of the evidence.

Success. Episodes are paired within a task, one of each arm, in the order in which they were first answered; pairs are
read in the order in which they were formed and reading stops at the first pair that is still running. Both orders are
known before any outcome is, so a candidate that fails slowly cannot hide its failures. With d = x_cand - x_inc:

    harm          H0: not worse                   E = mean_j prod(1 - bet_j d),            0 < bet_j < 1
    non-inferior  H0: worse by at least `margin`  E = mean_j prod(1 + bet_j (d + margin)), 0 < bet_j < 1 / (1 - margin)

Requests. Each attempt at the candidate is a trial; H0: it fails at most at `error_rate`. E is a mixture of likelihood
ratios. Under its H0 each E is a non-negative supermartingale that starts at 1, so P(E ever reaches 1/alpha) <= alpha
(Ville) whenever one looks and whenever one stops. The two alarms share `alpha_abort` in equal parts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import UsageError
from components.core.params import Rollout
from deploy.rollout.evidence import Episode
from deploy.rollout.plan import Decision, Phase

CANDIDATE, INCUMBENT = "candidate", "incumbent"
# Bets of the two tests on success; for non-inferiority as shares of the largest bet that cannot lose everything.
HARM_BETS = (0.2, 0.5, 0.85)
PROMOTE_BETS = (0.3, 0.55, 0.8)
# Error rates, as multiples of the one that is in order, that the request test looks for; capped at 0.9.
ERROR_FACTORS = (3.0, 10.0, 40.0, 150.0)
_CAP = 1e300

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """The part of params.rollout that the judge needs."""

    margin: float
    alpha_abort: float
    alpha_promote: float
    error_rate: float
    min_episodes: int
    max_episodes: int

    @property
    def abort_threshold(self) -> float:
        return 2.0 / self.alpha_abort

    @property
    def promote_threshold(self) -> float:
        return 1.0 / self.alpha_promote


def rules_of(rollout: Rollout, *, extensions: int = 0) -> Rules:
    """The rules out of params.rollout; each extension allows `max_episodes` once more."""
    return Rules(
        rollout.margin,
        rollout.alpha_abort,
        rollout.alpha_promote,
        rollout.error_rate,
        rollout.min_episodes,
        rollout.max_episodes * (1 + extensions),
    )


@dataclass(frozen=True)
class Pair:
    """`difference`: candidate minus incumbent, or None while one of the two still runs."""

    task: str
    candidate: str
    incumbent: str
    difference: int | None


@dataclass(frozen=True)
class Verdict:
    """A decision with everything it rests on. `episodes`: of both arms, with a known end; `unknown`: over without one.
    E-values are the largest so far for the alarms (an alarm stays raised) and the latest for non-inferiority."""

    decision: Decision
    reasons: tuple[str, ...]
    pairs: int
    better: int
    worse: int
    e_harm: float
    e_promote: float
    e_errors: float
    episodes: int
    running: int
    unknown: int
    candidate_episodes: int
    candidate_successes: int
    incumbent_episodes: int
    incumbent_successes: int
    candidate_attempts: int
    candidate_failures: int

    @property
    def hard(self) -> bool:
        """Whether requests themselves fail, so that running episodes must leave the candidate at once."""
        return self.decision is Decision.FAIL and any(reason.startswith("requests") for reason in self.reasons)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "decision": self.decision.value, "reasons": list(self.reasons)}


def match(episodes: Iterable[Episode], arm_of: dict[str, str]) -> list[Pair]:
    """Pairs in the order in which their later half was first answered. Episodes of unknown end are left out."""
    waiting: dict[tuple[str, str], deque[Episode]] = defaultdict(deque)
    pairs = []
    for episode in sorted((item for item in episodes if item.order >= 0), key=lambda item: item.order):
        arm = arm_of.get(episode.version)
        if arm is None or (episode.success is None and not episode.open):
            continue
        other = INCUMBENT if arm == CANDIDATE else CANDIDATE
        if not waiting[episode.task, other]:
            waiting[episode.task, arm].append(episode)
            continue
        partner = waiting[episode.task, other].popleft()
        candidate, incumbent = (episode, partner) if arm == CANDIDATE else (partner, episode)
        pairs.append(Pair(episode.task, candidate.episode, incumbent.episode, _difference(candidate, incumbent)))
    return pairs


def _difference(candidate: Episode, incumbent: Episode) -> int | None:
    if candidate.success is None or incumbent.success is None:
        return None
    return int(candidate.success) - int(incumbent.success)


def resolved(pairs: Sequence[Pair]) -> list[int]:
    """Differences up to the first pair that still runs."""
    found = []
    for pair in pairs:
        if pair.difference is None:
            break
        found.append(pair.difference)
    return found


def harm_path(differences: Sequence[int]) -> Array:
    """E after each pair, float64 [n], against "the candidate is not worse"."""
    return _mixture_path(-np.asarray(differences, dtype=np.float64), np.asarray(HARM_BETS))


def promote_path(differences: Sequence[int], margin: float) -> Array:
    """E after each pair, float64 [n], against "the candidate is worse by at least `margin`"."""
    bets = np.asarray(PROMOTE_BETS) / (1.0 - margin)
    return _mixture_path(np.asarray(differences, dtype=np.float64) + margin, bets)


def error_path(outcomes: Sequence[tuple[int, int]], error_rate: float) -> Array:
    """E after each episode, float64 [n], against "an attempt fails at most at `error_rate`".

    `outcomes`: (attempts, failures) per episode.
    """
    if not outcomes:
        return np.empty(0)
    counts = np.cumsum(np.asarray(outcomes, dtype=np.float64), axis=0)
    attempts, failures = counts[:, :1], counts[:, 1:]
    rates = np.unique(np.minimum(error_rate * np.asarray(ERROR_FACTORS), 0.9))
    rates = rates[rates > error_rate]
    gain = failures * np.log(rates / error_rate) + (attempts - failures) * np.log((1 - rates) / (1 - error_rate))
    return _average(gain)


def _mixture_path(stakes: Array, bets: Array) -> Array:
    """Mean over bets of the running product of (1 + bet * stake)."""
    return _average(np.cumsum(np.log1p(np.outer(stakes, bets)), axis=0)) if len(stakes) else np.empty(0)


def _average(log_values: Array) -> Array:
    mixed = np.logaddexp.reduce(log_values, axis=1) - np.log(log_values.shape[1])
    return np.exp(np.minimum(mixed, np.log(_CAP)))


def judge(episodes: Sequence[Episode], arm_of: dict[str, str], rules: Rules) -> Verdict:
    """The verdict on the canary episodes among `episodes`; `arm_of`: version -> arm.

    The same evidence gives the same verdict. Fail wins over everything; a pass needs resolved pairs; running out of
    episodes is a hold. Raises `UsageError` where both arms are the same version.
    """
    if sorted(arm_of.values()) != [CANDIDATE, INCUMBENT]:
        raise UsageError(f"a verdict needs one candidate and one incumbent, found {arm_of}")
    canary = [item for item in episodes if item.phase == Phase.CANARY.value]
    differences = resolved(match(canary, arm_of))
    harm, promote = harm_path(differences), promote_path(differences, rules.margin)
    outcomes = [(item.attempts, item.failures) for item in request_outcomes(canary, arm_of)]
    errors = error_path(outcomes, rules.error_rate)
    numbers = _numbers(canary, arm_of, differences, outcomes)
    e_values: dict[str, Any] = {
        "e_harm": float(harm.max(initial=1.0)),
        "e_promote": float(promote[-1]) if len(promote) else 1.0,
        "e_errors": float(errors.max(initial=1.0)),
    }
    decision, reasons = _decide(rules, differences, promote, e_values, numbers)
    return Verdict(decision, reasons, **numbers, **e_values)


def request_outcomes(canary: Sequence[Episode], arm_of: dict[str, str]) -> list[Episode]:
    """Ended episodes whose attempts are laid to the candidate, in order of their ends.

    An episode that nobody ever answered counts here too: failures that no version owns appeared with the candidate.
    """
    ended = [item for item in canary if item.ended and (not item.version or arm_of.get(item.version) == CANDIDATE)]
    return sorted(ended, key=lambda item: (item.ended_at, item.episode))


def _numbers(
    canary: Sequence[Episode],
    arm_of: dict[str, str],
    differences: Sequence[int],
    outcomes: Sequence[tuple[int, int]],
) -> dict[str, int]:
    known = [(arm_of[item.version], item.success) for item in canary if item.version in arm_of and not item.open]
    scored = [(arm, success) for arm, success in known if success is not None]
    by_arm = {name: [success for arm, success in scored if arm == name] for name in (CANDIDATE, INCUMBENT)}
    return {
        "pairs": len(differences),
        "better": sum(value > 0 for value in differences),
        "worse": sum(value < 0 for value in differences),
        "episodes": len(scored),
        "running": sum(item.open for item in canary),
        "unknown": sum(item.success is None and not item.open for item in canary),
        "candidate_episodes": len(by_arm[CANDIDATE]),
        "candidate_successes": sum(by_arm[CANDIDATE]),
        "incumbent_episodes": len(by_arm[INCUMBENT]),
        "incumbent_successes": sum(by_arm[INCUMBENT]),
        "candidate_attempts": sum(attempts for attempts, _ in outcomes),
        "candidate_failures": sum(failures for _, failures in outcomes),
    }


def _decide(
    rules: Rules, differences: Sequence[int], promote: Array, e_values: dict[str, float], numbers: dict[str, int]
) -> tuple[Decision, tuple[str, ...]]:
    alarms = []
    if e_values["e_harm"] >= rules.abort_threshold:
        alarms.append(
            f"success: the candidate did worse in {numbers['worse']} of {numbers['pairs']} pairs and better in "
            f"{numbers['better']} (E = {e_values['e_harm']:.3g} >= {rules.abort_threshold:.3g})"
        )
    if e_values["e_errors"] >= rules.abort_threshold:
        alarms.append(
            f"requests: {numbers['candidate_failures']} of {numbers['candidate_attempts']} attempts failed "
            f"(E = {e_values['e_errors']:.3g} >= {rules.abort_threshold:.3g})"
        )
    if alarms:
        return Decision.FAIL, tuple(alarms)
    if _non_inferior(rules, promote) and _errors_fine(rules, numbers):
        reason = (
            f"success: not worse by {rules.margin:g} or more after {numbers['pairs']} pairs "
            f"(E = {e_values['e_promote']:.3g} >= {rules.promote_threshold:.3g})"
        )
        return Decision.PASS, (reason,)
    if numbers["episodes"] >= rules.max_episodes:
        return Decision.HOLD, (f"inconclusive after {numbers['episodes']} episodes, {numbers['pairs']} pairs",)
    return Decision.CONTINUE, ()


def _non_inferior(rules: Rules, promote: Array) -> bool:
    """Whether E stands at its threshold now, with enough pairs behind it; a peak that has passed does not count."""
    return 2 * len(promote) >= rules.min_episodes and bool(promote[-1] >= rules.promote_threshold)


def _errors_fine(rules: Rules, numbers: dict[str, int]) -> bool:
    return numbers["candidate_failures"] <= rules.error_rate * numbers["candidate_attempts"]
