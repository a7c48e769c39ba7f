"""Serving what the aliases say, outside a rollout: the first champion, and the champion after a restart."""

from __future__ import annotations

from components.core.errors import Busy, UsageError
from components.core.params import Params
from components.core.workspace import Workspace
from deploy.gateway.routes import SLOTS, Routes
from deploy.rollout.contracts import RegistryPort, ServingPort
from deploy.rollout.lease import Lease
from deploy.rollout.log import unfinished
from model_registry.registry import ModelVersion


def bootstrap(
    workspace: Workspace, params: Params, *, version: str, serving: ServingPort, registry: RegistryPort
) -> str:
    """Makes `version` the first champion and serves it; returns its slot. Again: the same.

    There is nothing to compare with, so the offline gate is all that speaks for it; the journal says so. Raises
    `UsageError` where another version is champion: that is what rollouts are for.
    """
    with Lease(workspace.rollouts, params.rollout.lease_s) as lease:
        champion = registry.alias("champion")
        if champion is not None and champion.version != version:
            raise UsageError(f"version {champion.version} is champion", hint=f"Roll version {version} out against it")
        registry.require_promotable(version)
        workspace.journal.write("bootstrap.intent", version=version)
        slot = _serve(serving, registry.get(version))
        if champion is None:
            registry.set_alias("champion", version)
        workspace.journal.write("bootstrap", version=version, slot=slot, epoch=lease.epoch)
        return slot


def ensure_serving(
    workspace: Workspace,
    params: Params,
    *,
    serving: ServingPort,
    registry: RegistryPort,
    lease: Lease | None = None,
) -> str:
    """Serves the champion and returns its slot. `lease`: of a caller that holds it already.

    A rollout that has not ended owns the routes, so beside one nothing is changed. Raises `Busy` then, and `UsageError`
    where there is no champion.
    """
    if lease is None:
        with Lease(workspace.rollouts, params.rollout.lease_s) as own:
            return ensure_serving(workspace, params, serving=serving, registry=registry, lease=own)
    for name in unfinished(workspace):
        raise Busy(f"rollout {name} has not ended and owns the routes", hint="Resume it or abort it first")
    champion = registry.alias("champion")
    if champion is None:
        raise UsageError("there is no champion to serve", hint="Run the pipeline, or bootstrap a registered version")
    return _serve(serving, champion)


def _serve(serving: ServingPort, wanted: ModelVersion) -> str:
    """Leaves what serves right alone; else loads, checks, and only then routes."""
    serving.ensure_gateway()
    slot = _slot_for(serving, wanted)
    found = serving.status()["slots"].get(slot) or {}
    if not (found.get("bundle_digest") == wanted.digest and found.get("ready")):
        serving.load(slot, wanted.version, wanted.path)
        serving.warm_up(slot)
    if serving.routes() != Routes(slot):
        serving.set_routes(Routes(slot))
    for other in SLOTS:
        if other != slot and other in serving.status()["slots"]:
            serving.unload(other)
    return slot


def _slot_for(serving: ServingPort, wanted: ModelVersion) -> str:
    """The slot that holds the version already, or one that gets no new episodes."""
    slots, routes = serving.status()["slots"], serving.routes()
    for slot, found in slots.items():
        if (found["version"], found["bundle_digest"]) == (wanted.version, wanted.digest):
            return str(slot)
    return next(slot for slot in SLOTS if routes is None or not routes.uses(slot))
