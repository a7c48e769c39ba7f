from __future__ import annotations

from collections import Counter

import pytest
from checkbench.faults import FAULTS
from checkbench.plan import BATCH, COPIES, Facts, trials

TASKS = ("faucet-open", "handle-pull", "drawer-open", "faucet-close", "button-press")
FACTS = [
    Facts(TASKS[n // 60], f"cell-{n // 2 % 4}", f"2026-01-05T{n:04d}", f"{TASKS[n // 60]} {n % 4}", "train")
    for n in range(300)
]
EACH = pytest.mark.parametrize("code", FAULTS)
STRENGTHS = pytest.mark.parametrize("strength", range(3))


@EACH
@STRENGTHS
def test_a_plan_depends_on_its_seed_alone(code: str, strength: int) -> None:
    assert trials(code, strength, FACTS, 40, 1) == trials(code, strength, FACTS, 40, 1)
    assert trials(code, strength, FACTS, 40, 1) != trials(code, strength, FACTS, 40, 2)


@EACH
@STRENGTHS
def test_faulty_episodes_are_few_among_clean_ones(code: str, strength: int) -> None:
    planned = trials(code, strength, FACTS, 100, 1)
    assert code == "instruction_mismatch_rate" or sum(len(trial.changes) for trial in planned) >= 100
    for trial in planned:
        sources = {change.source for change in trial.changes}
        assert len(sources) == len(trial.changes)
        if code != "instruction_mismatch_rate":
            assert len(trial.changes) <= BATCH
            assert len(trial.rows) == (300 if code in COPIES else 300 - len(sources))
        assert code in COPIES or sources.isdisjoint(trial.rows)
        assert code == "instruction_mismatch_rate" or all(
            FACTS[number].task != FACTS[change.source].task for change in trial.changes for number in change.others
        )


@pytest.mark.parametrize("code", [code for code in FAULTS if not code.startswith("instruction_mismatch")])
def test_all_strengths_hit_the_same_episodes(code: str) -> None:
    assert trials(code, 0, FACTS, 40, 1) == trials(code, 1, FACTS, 40, 1) == trials(code, 2, FACTS, 40, 1)


@pytest.mark.parametrize(("strength", "hit"), [(0, 12), (1, 3), (2, 1)])
def test_a_share_of_a_task_gets_strange_words(strength: int, hit: int) -> None:
    for trial in trials("instruction_mismatch", strength, FACTS, 100, 1):
        counts = Counter(FACTS[change.source].task for change in trial.changes)
        assert set(counts.values()) == {hit}


def test_a_drift_takes_the_last_of_one_robot_with_one_draw() -> None:
    robots = []
    for trial in trials("calibration_drift", 0, FACTS, 100, 1):
        (robot,) = {FACTS[change.source].robot_id for change in trial.changes}
        assert len({change.draw for change in trial.changes}) == 1
        last = max(FACTS[number].recorded_at for number in trial.rows if FACTS[number].robot_id == robot)
        assert all(FACTS[change.source].recorded_at > last for change in trial.changes)
        robots.append(robot)
    assert len(set(robots)) == 4


@pytest.mark.parametrize(("strength", "share"), [(0, 0.8), (1, 0.95), (2, 1.0)])
def test_a_task_has_one_phrasing_up_to_a_share(strength: int, share: float) -> None:
    planned = trials("instruction_mismatch_rate", strength, FACTS, 100, 1)
    assert len({trial.task for trial in planned}) > 1
    for trial in planned:
        clean = [FACTS[number].instruction for number in trial.rows if FACTS[number].task == trial.task]
        (phrasing,) = {FACTS[number].instruction for change in trial.changes for number in change.others}
        said = clean + [phrasing] * len(trial.changes)
        assert said.count(phrasing) / len(said) == pytest.approx(share, abs=0.02)
        assert len(trial.rows) + len(trial.changes) == 240
