"""The rollout's memory: an append-only log; where a rollout stands is what the log replays to."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from components.core.errors import RecordError, UsageError
from components.core.journal import now
from components.core.workspace import Workspace
from deploy.rollout import lines
from deploy.rollout.lease import Lease
from deploy.rollout.plan import Event, Phase, Plan, apply, event_from_dict

LOG_NAME = "log.jsonl"
REQUESTS_NAME = "requests.jsonl"


@dataclass(frozen=True)
class Arm:
    """One of the two policies. `path`: its bundle, relative to the workspace where it lies inside."""

    version: str
    digest: str
    path: str
    slot: str


@dataclass(frozen=True)
class Brief:
    """What a rollout was asked to do, fixed when it is created. `rules`: params.rollout as of then."""

    rollout_id: str
    candidate: Arm
    incumbent: Arm
    drill: bool
    rules: dict[str, Any]

    def arm_of(self, version: str) -> str:
        """ "candidate", "incumbent", or "" for a version that is neither."""
        if version == self.candidate.version:
            return "candidate"
        return "incumbent" if version == self.incumbent.version else ""


@dataclass(frozen=True)
class State:
    """A replayed log. `notes`: the last value of each note; `requests`: control requests already answered."""

    brief: Brief
    plan: Plan
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: int = 0


class RolloutLog:
    """Writes need the lease; every line carries the epoch of the owner that wrote it."""

    def __init__(self, folder: Path, lease: Lease) -> None:
        self.path = folder / LOG_NAME
        self._lease = lease
        self._count = len(lines.read(self.path))

    def create(self, brief: Brief) -> None:
        if self._count:
            raise UsageError("the rollout exists", where=str(self.path), hint="Resume it, or choose another id")
        self._append("created", **asdict(brief))

    def event(self, event: Event, plan: Plan, **numbers: Any) -> Plan:
        """Applies `event`, makes it durable, then returns the new plan: what is not in the log did not happen."""
        after = apply(plan, event)
        self._append("event", **event.as_dict(), phase_before=plan.phase.value, phase=after.phase.value, **numbers)
        return after

    def intent(self, effect: str, **fields: Any) -> None:
        self._append("intent", effect=effect, **fields)

    def done(self, effect: str, **fields: Any) -> None:
        self._append("done", effect=effect, **fields)

    def note(self, name: str, **fields: Any) -> None:
        self._append("note", name=name, **fields)

    def _append(self, kind: str, **fields: Any) -> None:
        self._lease.beat()
        head = {"at": now(), "seq": self._count, "epoch": self._lease.epoch, "pid": os.getpid(), "kind": kind}
        lines.append(self.path, {**fields, **head})
        self._count += 1


def read_log(workspace: Workspace, rollout_id: str) -> list[dict[str, Any]]:
    """Every line of a rollout's log. Raises `UsageError` where there is no such rollout."""
    path = workspace.rollouts / rollout_id / LOG_NAME
    found = lines.read(path)
    if not found:
        known = ", ".join(rollouts(workspace)) or "none"
        raise UsageError(f"no rollout {rollout_id!r}; there are: {known}")
    return found


def replay(log: list[dict[str, Any]]) -> State:
    """Folds a log into the state that it stands for. Raises `RecordError` where it contradicts the state machine."""
    if not log or log[0].get("kind") != "created":
        raise RecordError("a rollout log that does not begin with its creation", where=LOG_NAME)
    head = log[0]
    brief = Brief(
        head["rollout_id"], Arm(**head["candidate"]), Arm(**head["incumbent"]), bool(head["drill"]), head["rules"]
    )
    state = State(brief, Plan(drill=brief.drill))
    for line in log[1:]:
        if line["kind"] == "event":
            plan = apply(state.plan, event_from_dict(line))
            if plan.phase is not Phase(line["phase"]):
                raise RecordError(f"line {line['seq']} says {line['phase']}, replay says {plan.phase}", where=LOG_NAME)
            state = replace(state, plan=plan, requests=max(state.requests, int(line.get("request", 0))))
        elif line["kind"] == "note":
            answered = max(state.requests, int(line.get("request", 0)))
            state = replace(state, notes={**state.notes, line["name"]: line}, requests=answered)
    return state


def load_state(workspace: Workspace, rollout_id: str) -> State:
    return replay(read_log(workspace, rollout_id))


def rollouts(workspace: Workspace) -> list[str]:
    """Ids of every rollout, oldest first (ids begin with their UTC time)."""
    if not workspace.rollouts.is_dir():
        return []
    return sorted(path.parent.name for path in workspace.rollouts.glob(f"*/{LOG_NAME}") if _is_created(path))


def _is_created(path: Path) -> bool:
    """Whether the first line is whole; a controller that died while writing it began no rollout."""
    with path.open("rb") as stream:
        return stream.readline().endswith(b"\n")


def unfinished(workspace: Workspace) -> list[str]:
    """Rollouts that still own a slot: everything that is neither done nor rolled back."""
    return [name for name in rollouts(workspace) if not load_state(workspace, name).plan.terminal]


def request(workspace: Workspace, rollout_id: str, action: str, *, reason: str, by: str) -> None:
    """Asks whoever drives the rollout to "pause", "resume" or "abort" it; answered between two episodes."""
    if action not in ("pause", "resume", "abort"):
        raise UsageError(f"no request {action!r}; there are pause, resume and abort")
    read_log(workspace, rollout_id)
    path = workspace.rollouts / rollout_id / REQUESTS_NAME
    lines.append(path, {"at": now(), "action": action, "reason": reason, "by": by})


def read_requests(workspace: Workspace, rollout_id: str) -> list[dict[str, Any]]:
    return lines.read(workspace.rollouts / rollout_id / REQUESTS_NAME)
