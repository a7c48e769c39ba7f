"""Where a rollout begins, and where it goes on after its controller died."""

from __future__ import annotations

from datetime import UTC, datetime

from components.core.errors import Busy, UsageError
from components.core.params import Params
from components.core.workspace import Workspace
from deploy.gateway.routes import SLOTS
from deploy.rollout.contracts import FleetFactory, RegistryPort, ServingPort
from deploy.rollout.controller import Controller
from deploy.rollout.effects import relative_path
from deploy.rollout.lease import Lease
from deploy.rollout.log import Arm, Brief, RolloutLog, State, load_state, rollouts, unfinished
from deploy.rollout.plan import Plan
from deploy.rollout.serve import ensure_serving
from model_registry.registry import ModelVersion


def run_rollout(
    workspace: Workspace,
    params: Params,
    *,
    version: str,
    serving: ServingPort,
    registry: RegistryPort,
    fleet: FleetFactory,
    drill: bool = False,
    rollout_id: str | None = None,
) -> State:
    """Rolls `version` out against the champion; returns where it ended: done, rolled back, paused or failed.

    Raises `Busy` while another rollout is under way, `UsageError` where there is no champion or `version` is it,
    `GateRefused` or `LineageError` where `version` may not be promoted.
    """
    with Lease(workspace.rollouts, params.rollout.lease_s) as lease:
        _require_free(workspace)
        candidate, champion = registry.get(version), registry.alias("champion")
        if champion is None:
            raise UsageError("there is no champion to compare with", hint="Bootstrap the first version")
        if champion.version == candidate.version:
            raise UsageError(f"version {version} is the champion already", hint="Nothing to roll out")
        if not drill:
            registry.require_promotable(version)
        slot = ensure_serving(workspace, params, serving=serving, registry=registry, lease=lease)
        brief = Brief(
            rollout_id or new_id(workspace, version),
            _arm(workspace, candidate, next(name for name in SLOTS if name != slot)),
            _arm(workspace, champion, slot),
            drill,
            params.rollout.model_dump(),
        )
        log = RolloutLog(workspace.rollouts / brief.rollout_id, lease)
        log.create(brief)
        return Controller(workspace, State(brief, Plan(drill=drill)), log, serving, registry, fleet).run()


def resume(
    workspace: Workspace,
    params: Params,
    rollout_id: str,
    *,
    serving: ServingPort,
    registry: RegistryPort,
    fleet: FleetFactory,
) -> State:
    """Goes on with a rollout whose controller is gone, and carries out what was requested of it meanwhile.

    Nothing that was decided is decided again. A rollout that rests stays where it is, unless it was asked to move.
    """
    with Lease(workspace.rollouts, params.rollout.lease_s) as lease:
        state = load_state(workspace, rollout_id)
        if state.plan.terminal:
            return state
        log = RolloutLog(workspace.rollouts / rollout_id, lease)
        log.note("resumed", phase=state.plan.phase.value)
        return Controller(workspace, state, log, serving, registry, fleet).run()


def new_id(workspace: Workspace, version: str) -> str:
    """Sorts by time and is not taken."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-v{version}"
    taken = set(rollouts(workspace))
    return next(name for name in (stamp, *(f"{stamp}-{n}" for n in range(2, 1000))) if name not in taken)


def _require_free(workspace: Workspace) -> None:
    for name in unfinished(workspace):
        raise Busy(f"rollout {name} has not ended", hint="Resume it or abort it first")


def _arm(workspace: Workspace, found: ModelVersion, slot: str) -> Arm:
    return Arm(found.version, found.digest, relative_path(workspace, found.path), slot)
