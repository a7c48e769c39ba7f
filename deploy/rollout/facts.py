"""What a report tells about a rollout, gathered from its log and its evidence; no server needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.params import Rollout
from components.core.workspace import Workspace
from deploy.rollout import lines
from deploy.rollout.evidence import Episode, Evidence, fold
from deploy.rollout.judge import (
    CANDIDATE,
    INCUMBENT,
    Rules,
    Verdict,
    error_path,
    harm_path,
    match,
    promote_path,
    request_outcomes,
    resolved,
    rules_of,
)
from deploy.rollout.log import State, read_log, replay
from deploy.rollout.plan import Phase
from deploy.rollout.replay import judge_rollout


@dataclass(frozen=True)
class Curve:
    """A step function of the seconds since the rollout began."""

    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Stay:
    """How long the rollout was in a phase; `end_s` is None for the one that it rests in."""

    phase: str
    begin_s: float
    end_s: float | None
    reason: str


@dataclass(frozen=True)
class Tally:
    """Episodes by their end. `unknown`: lost, mixed or unanswered; never counted as success."""

    successes: int
    failures: int
    unknown: int
    attempts: int
    failed_attempts: int

    @property
    def known(self) -> int:
        return self.successes + self.failures


@dataclass(frozen=True)
class Facts:
    """`by_task` and `by_robot`: (row name, arm) -> tally of the canary; `arms`: arm -> tally of all phases."""

    state: State
    verdict: Verdict
    rules: Rules
    stays: tuple[Stay, ...]
    shares: Curve
    e_harm: Curve
    e_promote: Curve
    e_errors: Curve
    by_task: dict[tuple[str, str], Tally]
    by_robot: dict[tuple[str, str], Tally]
    arms: dict[str, Tally]
    notes: tuple[dict[str, Any], ...]
    end_s: float


def gather(workspace: Workspace, rollout_id: str) -> Facts:
    """Reads a rollout in whatever phase it is."""
    log = read_log(workspace, rollout_id)
    state = replay(log)
    began = _time(log[0])
    evidence_log = lines.read(Evidence(workspace, rollout_id).path)
    decided = next((line["evidence_lines"] for line in reversed(log) if "evidence_lines" in line), None)
    judged, everything = fold(evidence_log[:decided]), fold(evidence_log)
    arm_of = {state.brief.candidate.version: CANDIDATE, state.brief.incumbent.version: INCUMBENT}
    rules = rules_of(Rollout.model_validate(state.brief.rules), extensions=state.plan.extensions)
    harm, promote, errors = _curves(judged, arm_of, rules, began)
    canary = [item for item in judged if item.phase == Phase.CANARY.value]
    return Facts(
        state=state,
        verdict=judge_rollout(workspace, state, upto=decided),
        rules=rules,
        stays=_stays(log, began),
        shares=_shares(log, began),
        e_harm=harm,
        e_promote=promote,
        e_errors=errors,
        by_task=_tallies(canary, arm_of, lambda item: item.task),
        by_robot=_tallies(canary, arm_of, lambda item: item.robot),
        arms={arm: tally for (_, arm), tally in _tallies(everything, arm_of, lambda item: "").items()},
        notes=tuple(line for line in log if line["kind"] == "note"),
        end_s=_time(log[-1]) - began,
    )


def _time(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["at"]).timestamp()


def _stays(log: Sequence[dict[str, Any]], began: float) -> tuple[Stay, ...]:
    turns = [(0.0, Phase.PENDING.value, "")]
    for line in log:
        if line["kind"] == "event" and line["phase"] != turns[-1][1]:
            turns.append((_time(line) - began, line["phase"], line["reason"]))
    ends = [at for at, _, _ in turns[1:]]
    return tuple(Stay(phase, at, end, reason) for (at, phase, reason), end in zip(turns, [*ends, None], strict=True))


def _shares(log: Sequence[dict[str, Any]], began: float) -> Curve:
    """Share of new episodes that the candidate's slot gets: also 1 once it is the incumbent."""
    candidate_slot = log[0]["candidate"]["slot"]
    turns = [(0.0, 0.0)]
    for line in log:
        if line["kind"] == "done" and line["effect"] == "routes":
            share = 1.0 if line["incumbent"] == candidate_slot else float(line["candidate_share"])
            turns.append((_time(line) - began, share))
    return Curve(*zip(*turns, strict=True))


def _curves(
    episodes: Sequence[Episode], arm_of: dict[str, str], rules: Rules, began: float
) -> tuple[Curve, Curve, Curve]:
    canary = [item for item in episodes if item.phase == Phase.CANARY.value]
    ended = {item.episode: _ended(item) - began for item in canary if item.ended_at}
    pairs = match(canary, arm_of)
    differences = resolved(pairs)
    # A pair counts once it and all before it are known.
    read = [max(ended[pair.candidate], ended[pair.incumbent]) for pair in pairs[: len(differences)]]
    read_at = np.maximum.accumulate(np.asarray(read)) if read else np.empty(0)
    asked = request_outcomes(canary, arm_of)
    asked_at = [ended[item.episode] for item in asked]
    counts = [(item.attempts, item.failures) for item in asked]
    return (
        _curve(read_at, harm_path(differences)),
        _curve(read_at, promote_path(differences, rules.margin)),
        _curve(np.asarray(asked_at), error_path(counts, rules.error_rate)),
    )


def _ended(episode: Episode) -> float:
    return datetime.fromisoformat(episode.ended_at).timestamp()


def _curve(seconds: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Curve:
    return Curve(tuple(map(float, seconds)), tuple(map(float, values)))


def _tallies(episodes: Iterable[Episode], arm_of: dict[str, str], row_of: Any) -> dict[tuple[str, str], Tally]:
    """(row, arm) -> tally; "" is the arm of episodes that nobody answered. Sorted."""
    groups: dict[tuple[str, str], list[Episode]] = {}
    for item in episodes:
        groups.setdefault((row_of(item), arm_of.get(item.version, "")), []).append(item)
    return {key: _tally(groups[key]) for key in sorted(groups)}


def _tally(episodes: Sequence[Episode]) -> Tally:
    return Tally(
        successes=sum(item.success is True for item in episodes),
        failures=sum(item.success is False for item in episodes),
        unknown=sum(item.success is None for item in episodes),
        attempts=sum(item.attempts for item in episodes),
        failed_attempts=sum(item.failures for item in episodes),
    )
