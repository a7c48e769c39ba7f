"""What changes the world: policies that passed the gate are registered, and tried one by one against the champion."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from components.core.files import read_json
from components.core.params import Params
from components.core.workspace import Workspace
from model_registry.registry import ModelVersion, Registry
from model_registry.snapshot import bundle_digest

if TYPE_CHECKING:
    from deploy.rollout.log import State
    from deploy.serving import Serving

log = logging.getLogger("gripline")

# Tags on a version: what became of it, why, and in which rollout.
OUTCOME, REASON, ROLLOUT = "outcome", "outcome_reason", "rollout"
# A rollout's resting phase -> what became of the version.
_OUTCOMES = {"done": "promoted", "rolled_back": "rolled_back", "paused": "held", "failed": "failed"}


@dataclass(frozen=True)
class Plant:
    """The registry and the servers of one workspace."""

    workspace: Workspace
    params: Params

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.workspace, self.params.registry.model)

    @cached_property
    def serving(self) -> Serving:
        from deploy.serving import Serving

        return Serving.attach(self.workspace, self.params)


def passed_bundles(workspace: Workspace) -> dict[str, str]:
    """Name -> digest of the bundles that passed the gate, in the order in which they are tried."""
    path = workspace.gate / "verdict.json"
    policies = read_json(path)["policies"] if path.is_file() else {}
    return {name: entry["bundle"] for name, entry in sorted(policies.items()) if entry["passed"]}


def settled(workspace: Workspace, params: Params) -> list[dict[str, Any]] | None:
    """What became of every policy that passed the gate, or None while one of them is still to be tried."""
    from deploy.rollout.log import unfinished

    bundles = passed_bundles(workspace)
    if not bundles or not (workspace.state / "mlflow" / "mlflow.db").is_file():
        return [] if not bundles else None
    registry = Registry(workspace, params.registry.model)
    versions = {name: registry.by_digest(digest) for name, digest in bundles.items()}
    if any(item is None or OUTCOME not in item.tags for item in versions.values()):
        return None
    resting = [_outcome_entry(workspace, name, item) for name, item in versions.items() if item is not None]
    running = set(unfinished(workspace)) - {entry["rollout"] for entry in resting if entry["outcome"] == "held"}
    return None if running else resting


def register_passed(workspace: Workspace, params: Params) -> list[ModelVersion]:
    """Registers what passed the gate and is not registered yet; gives all of it, oldest version first."""
    registry = Registry(workspace, params.registry.model)
    made = [registry.register(workspace.bundles / name) for name in passed_bundles(workspace)]
    return sorted(made, key=lambda item: int(item.version))


def release_all(workspace: Workspace, params: Params, *, keep_serving: bool) -> list[dict[str, Any]]:
    """Finishes what was left behind, then tries every version that has not been tried.

    Servers that this call started are stopped at its end, unless `keep_serving`.
    """
    plant = Plant(workspace, params)
    was_serving = bool(plant.serving.status().get("gateway"))
    try:
        finish_left_behind(workspace, params)
        for version in register_passed(workspace, params):
            if OUTCOME not in plant.registry.get(version.version).tags:
                release_version(plant, version.version)
        if plant.registry.alias("champion") is not None:
            _serve_champion(plant)
    finally:
        if not (keep_serving or was_serving):
            plant.serving.stop()
    return settled(workspace, params) or []


def release_version(plant: Plant, version: str, *, drill: bool = False) -> dict[str, Any]:
    """Tries one version: the first becomes champion by the gate alone, later ones by a rollout."""
    from deploy.rollout.driver import run_rollout
    from deploy.rollout.serve import bootstrap

    registry = plant.registry
    log.info("version %s is tried ...", version)
    if registry.alias("champion") is None and not drill:
        bootstrap(plant.workspace, plant.params, version=version, serving=plant.serving, registry=registry)
        _tag(registry, version, "bootstrap", "the first champion: passed the gate, and nothing served before it", "")
        return _outcome_entry(plant.workspace, "", registry.get(version))
    state = run_rollout(
        plant.workspace,
        plant.params,
        version=version,
        serving=plant.serving,
        registry=registry,
        fleet=_fleet(plant),
        drill=drill,
    )
    return conclude(plant, state)


def finish_left_behind(workspace: Workspace, params: Params) -> list[dict[str, Any]]:
    """Goes on with every rollout whose controller died; those that wait for a person keep waiting."""
    from deploy.rollout.driver import resume
    from deploy.rollout.log import unfinished

    plant = Plant(workspace, params)
    done = []
    for rollout_id in unfinished(workspace):
        state = resume(
            workspace, params, rollout_id, serving=plant.serving, registry=plant.registry, fleet=_fleet(plant)
        )
        done.append(conclude(plant, state))
    return done


def conclude(plant: Plant, state: State) -> dict[str, Any]:
    """Writes down what became of the candidate: tags on its version, and the report of the rollout."""
    from deploy.rollout.report import write_report

    brief = state.brief
    outcome = _OUTCOMES[state.plan.phase.value]
    write_report(plant.workspace, brief.rollout_id)
    log.info("version %s: %s, %s", brief.candidate.version, outcome, state.plan.reason)
    _tag(plant.registry, brief.candidate.version, outcome, state.plan.reason, brief.rollout_id)
    return _outcome_entry(plant.workspace, "", plant.registry.get(brief.candidate.version))


def _serve_champion(plant: Plant) -> None:
    from components.core.errors import Busy
    from deploy.rollout.serve import ensure_serving

    try:
        ensure_serving(plant.workspace, plant.params, serving=plant.serving, registry=plant.registry)
    except Busy as busy:
        log.info("%s", busy)


def _fleet(plant: Plant) -> Any:
    from deploy.rollout.robots import fleet_factory

    return fleet_factory(plant.workspace, plant.params)


def _tag(registry: Registry, version: str, outcome: str, reason: str, rollout_id: str) -> None:
    registry.tag(version, REASON, reason)
    registry.tag(version, ROLLOUT, rollout_id)
    # Last: its presence says that the version was tried.
    registry.tag(version, OUTCOME, outcome)


def _outcome_entry(workspace: Workspace, policy: str, version: ModelVersion) -> dict[str, Any]:
    """One line of the summary."""
    rollout_id = version.tags.get(ROLLOUT, "")
    report = workspace.rollouts / rollout_id / "report.html" if rollout_id else None
    return {
        "version": version.version,
        "policy": policy or _name_of(workspace, version.digest),
        "outcome": version.tags.get(OUTCOME, ""),
        "reason": version.tags.get(REASON, ""),
        "aliases": list(version.aliases),
        "bundle": version.digest,
        "rollout": rollout_id,
        "report": str(report) if report is not None and report.is_file() else "",
        "numbers": rollout_numbers(workspace, rollout_id) if rollout_id else {},
    }


def _name_of(workspace: Workspace, digest: str) -> str:
    """Name that the bundle had in the run that made it, while that run is the last one."""
    folders = [path for path in sorted(workspace.bundles.glob("*")) if (path / "manifest.json").is_file()]
    return next((path.name for path in folders if bundle_digest(path) == digest), "")


def rollout_numbers(workspace: Workspace, rollout_id: str) -> dict[str, Any]:
    """Episodes, successes and attempts of a rollout, by the robots' own count."""
    from deploy.rollout.evidence import Evidence
    from deploy.rollout.log import load_state

    brief = load_state(workspace, rollout_id).brief
    episodes = [item for item in Evidence(workspace, rollout_id).episodes() if item.ended]
    numbers: dict[str, Any] = {
        "attempts": sum(item.attempts for item in episodes),
        "failed attempts": sum(item.failures for item in episodes),
    }
    for arm in ("candidate", "incumbent"):
        own = [item for item in episodes if brief.arm_of(item.version) == arm and item.phase == "canary"]
        numbers[arm] = f"{sum(bool(item.success) for item in own)}/{len(own)}"
    return numbers
