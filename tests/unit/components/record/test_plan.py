from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import UsageError
from components.core.params import Raw, load_params
from components.record.plan import (
    ATTEMPTS,
    FAULTS,
    SCENE_SEEDS,
    EpisodePlan,
    plan_episodes,
    plan_recording,
)
from components.sim.tasks import TASKS


@pytest.fixture(scope="module")
def shipped(project: Path) -> Raw:
    return load_params(project / "params.yaml").raw


def _episodes(raw: Raw) -> list[EpisodePlan]:
    return [episode for file in plan_recording(raw) for episode in file.episodes]


def test_the_default_recording_is_balanced(shipped: Raw) -> None:
    files = plan_recording(shipped)
    sound = [(file.format, episode) for file in files for episode in file.episodes if not episode.fault]
    assert Counter(episode.task for _, episode in sound) == dict.fromkeys(shipped.tasks, shipped.episodes_per_task)
    for name in shipped.tasks:
        assert Counter(format_ for format_, episode in sound if episode.task == name) == {"mcap": 25, "hdf5": 25}
        assert {episode.instruction for _, episode in sound if episode.task == name} == set(TASKS[name].phrasings)
    # No robot, collector or site writes only one format.
    for attribute in ("robot_id", "collector_id", "site"):
        values = {getattr(episode, attribute) for _, episode in sound}
        assert len({(format_, getattr(episode, attribute)) for format_, episode in sound}) == 2 * len(values)
    assert {episode.robot_id for _, episode in sound} == set(shipped.robots)


def test_a_robot_stays_at_its_site(shipped: Raw) -> None:
    at = {(episode.robot_id, episode.site) for episode in _episodes(shipped)}
    assert len(at) == len(shipped.robots)


def test_one_episode_an_mcap_file_and_many_an_hdf5_file(shipped: Raw) -> None:
    for file in plan_recording(shipped):
        assert file.path.startswith(f"{file.episodes[0].site}/{file.episodes[0].task}")
        assert len({(episode.site, episode.task) for episode in file.episodes}) == 1
        assert len(file.episodes) == 1 if file.format == "mcap" else len(file.episodes) >= 12


def test_each_fault_is_planted_once_and_one_file_is_truncated(shipped: Raw) -> None:
    planted = [entry for file in plan_recording(shipped) for entry in file.planted()]
    assert sorted(entry["fault"] for entry in planted) == sorted([*(name for name, _ in FAULTS), "truncated"])
    by_fault = {entry["fault"]: entry["source"] for entry in planted}
    assert by_fault["truncated"].endswith(".mcap")
    assert "#demo_" in by_fault["idle"]
    # Nothing in a name gives a fault away.
    assert not any(entry["fault"] in entry["source"] for entry in planted)


def test_a_second_round_plants_each_fault_in_the_other_format(shipped: Raw) -> None:
    twice = shipped.model_copy(update={"planted_faults": 2 * len(FAULTS)})
    formats: dict[str, set[str]] = {}
    for file in plan_recording(twice):
        for episode in file.episodes:
            formats.setdefault(episode.fault, set()).add(file.format)
    assert all(formats[name] == {"mcap", "hdf5"} for name, _ in FAULTS)


def test_no_faults_where_none_are_asked_for(shipped: Raw) -> None:
    clean = shipped.model_copy(update={"planted_faults": 0})
    assert not any(file.planted() for file in plan_recording(clean))


def test_the_calendar_is_simulated_and_no_two_episodes_start_at_once(shipped: Raw) -> None:
    starts = sorted(episode.start for episode in _episodes(shipped))
    assert len(set(starts)) == len(starts)
    assert starts[0] == datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_a_recording_of_more_than_a_day_goes_on_the_next_morning(shipped: Raw) -> None:
    last = plan_episodes(shipped, "faucet-open", 1, first=320)[0]
    assert last.start == datetime(2026, 1, 6, 8, tzinfo=UTC)


def test_an_unknown_task_is_refused_before_anything_is_recorded(shipped: Raw) -> None:
    with pytest.raises(UsageError, match="Did you mean 'drawer-open'"):
        plan_recording(shipped.model_copy(update={"tasks": ("drawer-opened",)}))


@given(seed=st.integers(0, 10_000), count=st.integers(1, 400))
def test_scene_seeds_are_unique_and_below_those_of_the_evaluation(seed: int, count: int) -> None:
    plans = [EpisodePlan(index, "faucet-open", "", "", "", "", seed=seed) for index in range(count)]
    seeds = [plan.scene_seed(attempt) for plan in plans for attempt in range(ATTEMPTS)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) <= max(seeds) < SCENE_SEEDS


def test_the_plan_is_a_function_of_the_params(shipped: Raw) -> None:
    assert plan_recording(shipped) == plan_recording(shipped)
    assert plan_recording(shipped) != plan_recording(shipped.model_copy(update={"seed": 2}))


def test_random_numbers_differ_between_episodes_attempts_and_purposes() -> None:
    one, two = (EpisodePlan(index, "faucet-open", "", "", "", "", seed=1) for index in (1, 2))
    drawn = [one.rng(0), one.rng(1), one.rng(0, purpose=1), two.rng(0)]
    assert len({rng.integers(1 << 60) for rng in drawn}) == 4
    assert one.rng(0).integers(1 << 60) == one.rng(0).integers(1 << 60)
