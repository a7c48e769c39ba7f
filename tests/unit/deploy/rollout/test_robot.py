"""The simulated robots, without a simulator: how they ride out failures, what they report, how they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.workspace import Workspace
from components.sim.cell import Observation
from deploy.client.client import ActionChunk, PolicyClient, PolicyUnavailable
from deploy.rollout.contracts import FleetJob, RobotsGone
from deploy.rollout.evidence import Evidence
from deploy.rollout.robot import CONTROL_S, Chunks, RobotJob, RobotProcess
from deploy.rollout.robots import fleet_factory

# Nobody listens there, so every attempt fails at once.
NOBODY = "127.0.0.1:9"
SEEN = Observation({"fixed": np.zeros((96, 96, 3), np.uint8)}, np.zeros(4, np.float32))


@pytest.fixture
def job(tmp_path: Path) -> RobotJob:
    return RobotJob(
        workspace=str(tmp_path), url=NOBODY, rollout_id="r", phase="canary", first_number=0, index=0, processes=1,
        robots=3, tasks=("drawer-open", "faucet-open"), seed=300, execute=4, horizon=3, hold_s=0.5, timeout_s=1.0,
        parent=os.getpid(),
    )  # fmt: skip


@dataclass
class ScriptedClient:
    """Answers with `answers` in turn; None is a failed attempt. Chunk n holds actions of value n."""

    answers: list[str | None]
    steps: int = 0

    def act(self, images: Any, state: Any) -> ActionChunk:
        version = self.answers.pop(0)
        if version is None:
            raise PolicyUnavailable("nobody there")
        self.steps += 1
        actions = np.full((8, 4), self.steps, np.float32) + np.arange(8, dtype=np.float32)[:, None] / 10
        return ActionChunk(actions, version, f"digest-{version}", "r-000000", self.steps - 1, 7.0)


@dataclass
class FlatCell:
    """A cell in which nothing ever succeeds."""

    taken: list[np.ndarray] = field(default_factory=list)
    success: bool = False
    holding: bool = False

    def __enter__(self) -> FlatCell:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def reset(self, seed: int) -> None:
        self.seed = seed

    def observe(self) -> Observation:
        images = {camera: np.zeros((96, 96, 3), np.uint8) for camera in ("fixed", "wrist")}
        return Observation(images, np.zeros(4, np.float32))

    def step(self, action: np.ndarray) -> bool:
        self.taken.append(np.asarray(action))
        return False


def chunks(job: RobotJob, answers: list[str | None]) -> tuple[Chunks, Evidence, list[float]]:
    evidence, waited = Evidence(Workspace(Path(job.workspace)), "r"), []
    evidence.start("r-000000", robot="cell-1", task="drawer-open", seed=300, phase="canary", number=0)
    client: Any = ScriptedClient(answers)
    return Chunks(client, evidence, job, 0, waited.append), evidence, waited


def test_robots_and_tasks_cross_and_episodes_are_named_by_number(job: RobotJob) -> None:
    plan = [(job.robot(number), job.task(number)) for number in range(6)]
    assert len(set(plan)) == 6
    assert plan[:3] == [("cell-1", "drawer-open"), ("cell-1", "faucet-open"), ("cell-2", "drawer-open")]
    assert job.episode(41) == "r-000041"


def test_each_answer_is_on_record_before_it_is_executed(job: RobotJob, tmp_path: Path) -> None:
    act, evidence, _ = chunks(job, ["4", "4"])
    assert act(SEEN, "").shape == (8, 4)
    assert evidence.episodes()[0].version == "4"
    assert (tmp_path / ".gripline/actions/r.jsonl").read_text().count("digest-4") == 1
    act(SEEN, "")
    assert (tmp_path / ".gripline/actions/r.jsonl").read_text().count("\n") == 2


def test_a_failed_attempt_plays_the_rest_of_the_chunk_in_real_time_then_stands_still(job: RobotJob) -> None:
    act, _, waited = chunks(job, ["4", None, None, None, "4", None])
    first = act(SEEN, "")
    np.testing.assert_array_equal(act(SEEN, ""), first[4:8])
    still = act(SEEN, "")
    np.testing.assert_array_equal(still, [[0, 0, 0, first[7, 3]]])
    act(SEEN, "")
    assert waited == pytest.approx([4 * CONTROL_S, CONTROL_S, CONTROL_S])
    second = act(SEEN, "")
    np.testing.assert_array_equal(act(SEEN, ""), second[4:8])


def test_without_any_answer_the_robot_does_not_move(job: RobotJob) -> None:
    act, evidence, _ = chunks(job, [None])
    np.testing.assert_array_equal(act(SEEN, ""), np.zeros((1, 4)))
    assert evidence.episodes()[0].version == ""


def test_a_change_of_version_is_on_record(job: RobotJob) -> None:
    act, evidence, _ = chunks(job, ["4", "5"])
    act(SEEN, "")
    act(SEEN, "")
    assert evidence.episodes()[0].mixed


def test_an_episode_without_a_gateway_is_reported_as_unknown(job: RobotJob) -> None:
    process, cell = RobotProcess(job), FlatCell()
    process.phase = "canary"
    with PolicyClient(job.url, job.timeout_s) as client:
        outcome = process.episode(client, cell, 5)
    (episode,) = Evidence(Workspace(Path(job.workspace)), "r").episodes()
    assert (outcome.version, outcome.success) == ("", False)
    assert (episode.episode, episode.robot, episode.task, episode.seed) == ("r-000005", "cell-3", "faucet-open", 305)
    assert (episode.success, episode.ended, episode.attempts, episode.failures) == (None, True, 3, 3)
    assert cell.seed == 305
    np.testing.assert_array_equal(np.stack(cell.taken), np.zeros((3, 4)))


def test_processes_share_the_numbers_out_and_stop_between_episodes(job: RobotJob) -> None:
    asked = iter([False] * 5 + [True])
    process = RobotProcess(replace(job, first_number=10, index=1, processes=2), lambda task: FlatCell())
    outcomes = list(process.run(lambda: next(asked)))
    # One of the looks was spent on making the cell.
    assert [outcome.episode for outcome in outcomes] == ["r-000011", "r-000013", "r-000015", "r-000017"]


@pytest.fixture
def broken_fleet(tmp_path: Path, small_params: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Robots of a task that no cell knows."""
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    raw = small_params.raw.model_copy(update={"tasks": ("no-such-task",)})
    params = small_params.model_copy(update={"raw": raw})
    with fleet_factory(Workspace(tmp_path), params)(FleetJob(NOBODY, "r", "canary", 0)) as fleet:
        yield fleet


def test_robots_that_die_say_why(broken_fleet: Any) -> None:
    with pytest.raises(RobotsGone, match="no task 'no-such-task'"):
        list(broken_fleet.episodes())
    broken_fleet.begin_phase("promoting")
