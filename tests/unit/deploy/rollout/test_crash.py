"""The controller dies at every point at which something durable happens; the next ones bring the rollout to its end."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.errors import UsageError
from deploy.rollout.evidence import Evidence
from deploy.rollout.log import read_log, replay, rollouts
from deploy.rollout.plan import Decision, Phase

# (rates, errors, drill, how it must end)
STORIES = {
    "promoted": ({"1": 1.0, "2": 1.0}, {}, False, Phase.DONE),
    "rolled back": ({"1": 1.0, "2": 0.0}, {}, False, Phase.ROLLED_BACK),
    "rolled back hard": ({"1": 1.0, "2": 1.0}, {"2": 0.5}, False, Phase.ROLLED_BACK),
    "drill": ({"1": 1.0, "2": 1.0}, {}, True, Phase.ROLLED_BACK),
}


def tell(world: Any, story: str) -> bool:
    """Sets the world up; whether it is a drill."""
    world.rates, world.errors, drill, _ = STORIES[story]
    return bool(drill)


def run_or_resume(world: Any, drill: bool) -> None:
    if rollouts(world.workspace):
        world.resume()
    else:
        world.run(drill=drill)


def check_end(world: Any, phase: Phase) -> None:
    winner = "2" if phase is Phase.DONE else "1"
    assert world.aliases == {"champion": winner}
    assert [found["version"] for found in world.slots.values()] == [winner]
    assert world.slots[world.routes.incumbent]["version"] == winner
    assert (world.routes.candidate, world.routes.candidate_share, world.routes.pinned) == (None, 0.0, True)


def check_log(world: Any) -> None:
    """Decided once; after a fail nobody new was exposed; sequence and epochs only grow."""
    log = read_log(world.workspace, "r")
    replay(log)
    assert [line["seq"] for line in log] == list(range(len(log)))
    assert [line["epoch"] for line in log] == sorted(line["epoch"] for line in log)
    decided = [line for line in log if line.get("decision") in (Decision.PASS.value, Decision.FAIL.value)]
    assert len(decided) == 1
    if decided[0]["decision"] == Decision.FAIL.value:
        later = [item for item in Evidence(world.workspace, "r").episodes() if item.started_at > decided[0]["at"]]
        assert all(item.version != "2" for item in later)


def points_of(world: Any, story: str) -> range:
    """Where the controller may die; stories are alike until the canary, so that part is told once."""
    drill = tell(world, story)
    world.run(drill=drill)
    canary = world.calls.index("alias canary 2")
    return range(1 if story == "promoted" else canary, world.points + 1)


@pytest.mark.parametrize("story", STORIES)
def test_killed_once_at_every_point(make_world: Any, story: str) -> None:
    points = points_of(make_world(), story)
    assert len(points) > 25
    for kill_at in points:
        world = make_world()
        drill = tell(world, story)
        world.kill_at = kill_at
        with pytest.raises(world.killed):
            world.run(drill=drill)
        world.kill_at = None
        run_or_resume(world, drill)
        state = replay(read_log(world.workspace, "r"))
        assert state.plan.phase is STORIES[story][3], f"killed at {kill_at}: {world.calls[kill_at - 1]}"
        check_end(world, state.plan.phase)
        check_log(world)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("stride", [7, 11, 16])
def test_killed_again_and_again(make_world: Any, story: str, stride: int) -> None:
    world = make_world()
    drill = tell(world, story)
    deaths = 0
    while True:
        # Later controllers live longer: nobody gets anywhere who dies before the first effect for ever.
        world.kill_at = world.points + stride + 2 * deaths
        try:
            run_or_resume(world, drill)
        except world.killed:
            deaths += 1
            assert deaths < 60
            continue
        break
    assert deaths > 2
    phase = replay(read_log(world.workspace, "r")).plan.phase
    assert phase is STORIES[story][3]
    world.kill_at = None
    check_end(world, phase)
    check_log(world)


def test_a_torn_first_line_is_no_rollout_and_is_in_nobodys_way(make_world: Any) -> None:
    world = make_world()
    path = world.workspace.rollouts / "r" / "log.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"kind": "created", "rollout_')
    assert rollouts(world.workspace) == []
    assert world.run().plan.phase is Phase.DONE
    assert rollouts(world.workspace) == ["r"]


def test_killed_before_the_first_line_nothing_is_owed(make_world: Any) -> None:
    world = make_world()
    world.kill_at = 1
    with pytest.raises(world.killed):
        world.run()
    assert rollouts(world.workspace) == []
    world.kill_at = None
    with pytest.raises(UsageError, match="no rollout"):
        world.resume()
