"""Serving outside a rollout: the first champion, and the champion again after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.errors import Busy, GateRefused, UsageError
from deploy.gateway.routes import Routes
from deploy.rollout.serve import bootstrap, ensure_serving


def ports(world: Any) -> dict[str, Any]:
    """Servers and registry; there are no robots here."""
    return {name: port for name, port in world.ports().items() if name != "fleet"}


def test_the_first_version_becomes_champion_by_its_gate_alone(world: Any) -> None:
    world.aliases = {}
    assert bootstrap(world.workspace, world.params, version="1", **ports(world)) == "a"
    assert (world.aliases, world.routes) == ({"champion": "1"}, Routes("a"))
    events = [line["event"] for line in world.workspace.journal.read()]
    assert events == ["bootstrap.intent", "bootstrap"]


def test_bootstrap_killed_anywhere_is_completed_by_the_next(make_world: Any) -> None:
    for kill_at in range(1, 100):
        world = make_world()
        world.aliases, world.kill_at = {}, kill_at
        try:
            bootstrap(world.workspace, world.params, version="1", **ports(world))
        except world.killed:
            world.kill_at = None
            bootstrap(world.workspace, world.params, version="1", **ports(world))
        assert (world.aliases, world.routes, list(world.slots)) == ({"champion": "1"}, Routes("a"), ["a"])
        if world.kill_at:
            break
    assert kill_at > 5


def test_a_second_champion_needs_a_rollout_and_a_first_one_a_gate(world: Any) -> None:
    with pytest.raises(UsageError, match="Roll version 2 out against it"):
        bootstrap(world.workspace, world.params, version="2", **ports(world))
    world.aliases, world.gated = {}, set()
    with pytest.raises(GateRefused, match="did not pass the gate"):
        bootstrap(world.workspace, world.params, version="1", **ports(world))
    assert world.slots == {}


def test_what_serves_right_is_left_alone(world: Any) -> None:
    ensure_serving(world.workspace, world.params, **ports(world))
    loads = [call for call in world.calls if call.startswith("load")]
    ensure_serving(world.workspace, world.params, **ports(world))
    assert [call for call in world.calls if call.startswith("load")] == loads


def test_a_champion_whose_server_died_is_loaded_again_and_strangers_go(world: Any) -> None:
    ensure_serving(world.workspace, world.params, **ports(world))
    world.slots["a"]["ready"] = False
    world.slots["b"] = {"version": "7", "bundle_digest": "digest-7", "ready": True}
    assert ensure_serving(world.workspace, world.params, **ports(world)) == "a"
    assert world.slots == {"a": {"version": "1", "bundle_digest": "digest-1", "ready": True}}


def test_a_champion_moves_into_the_free_slot_while_another_version_serves(world: Any) -> None:
    ensure_serving(world.workspace, world.params, **ports(world))
    world.aliases = {"champion": "2"}
    assert ensure_serving(world.workspace, world.params, **ports(world)) == "b"
    assert (world.routes, list(world.slots)) == (Routes("b"), ["b"])


def test_without_a_champion_there_is_nothing_to_serve(world: Any) -> None:
    world.aliases = {}
    with pytest.raises(UsageError, match="no champion to serve"):
        ensure_serving(world.workspace, world.params, **ports(world))


def test_a_rollout_that_has_not_ended_owns_the_routes(world: Any) -> None:
    strict = world.params.rollout.model_copy(update={"margin": 0.05, "max_episodes": 8})
    world.params = world.params.model_copy(update={"rollout": strict})
    world.run()
    with pytest.raises(Busy, match="rollout r has not ended"):
        ensure_serving(world.workspace, world.params, **ports(world))
