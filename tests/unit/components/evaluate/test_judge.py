from __future__ import annotations

import pytest

from components.evaluate.judge import judge


def _entry(n: int = 50, **successes: int) -> dict:
    rows = {task.replace("_", "-"): {"successes": count, "n": n} for task, count in successes.items()}
    mean = sum(row["successes"] / n for row in rows.values()) / len(rows)
    return {"tasks": rows, "mean": mean}


GOOD = {"drawer_open": 50, "button_press_topdown": 49, "handle_pull": 45, "faucet_open": 44}
BLIND = {"drawer_open": 30, "button_press_topdown": 18, "handle_pull": 0, "faucet_open": 44}


@pytest.fixture
def gate(params):
    names = ("drawer-open", "button-press-topdown", "handle-pull")
    return params.gate.model_copy(
        update={"min_success": 0.7, "vision_tasks": names, "confidence": 0.95, "language_tasks": ()}
    )


def test_a_policy_that_sees_passes(gate):
    assert judge(_entry(**GOOD), {"blind": _entry(**BLIND)}, gate) == []


def test_success_that_needs_no_eyes_is_no_evidence(gate):
    reasons = judge(_entry(**{**GOOD, "drawer_open": 36}), {"blind": _entry(**BLIND)}, gate)
    assert reasons == ["drawer-open: 36/50 is not better than the blind policy's 30/50 (p = 0.146, needed 0.050)"]


def test_the_level_decides(gate):
    better = _entry(**{**GOOD, "drawer_open": 37})  # against 30 of 50: p = 0.101
    assert judge(better, {"blind": _entry(**BLIND)}, gate)
    assert judge(better, {"blind": _entry(**BLIND)}, gate.model_copy(update={"confidence": 0.89})) == []


def test_a_task_that_blind_policies_solve_too_is_not_asked_about(gate):
    assert judge(_entry(**{**GOOD, "faucet_open": 40}), {"blind": _entry(**{**BLIND, "faucet_open": 50})}, gate) == []


def test_few_successes_are_refused(gate):
    low = _entry(drawer_open=30, button_press_topdown=30, handle_pull=30, faucet_open=30)
    blind = _entry(drawer_open=0, button_press_topdown=0, handle_pull=0, faucet_open=0)
    assert judge(low, {"blind": blind}, gate) == ["mean success 0.60 is below 0.70"]


def test_without_a_blind_policy_sight_is_unproven(gate):
    assert judge(_entry(**GOOD), {}, gate) == ["no blind policy was evaluated to compare with"]
    assert judge(_entry(**GOOD), {}, gate.model_copy(update={"vision_tasks": ()})) == []


def test_a_vision_task_that_was_not_tried_is_named(gate):
    reasons = judge(_entry(drawer_open=50, button_press_topdown=49), {"blind": _entry(**BLIND)}, gate)
    assert reasons == ["handle-pull was not evaluated, which gate.vision_tasks names"]


LISTENS = {"faucet_open": 46, "faucet_close": 40}
WORDLESS = {"faucet_open": 30, "faucet_close": 25}


@pytest.fixture
def spoken(gate):
    pair = ("faucet-open", "faucet-close")
    return gate.model_copy(update={"vision_tasks": (), "language_tasks": pair, "min_swapped": 0.7})


def _told(opened: int, closed: int, **successes: int) -> dict:
    """`opened`, `closed`: how often it did what it was told in the scene of faucet-open, and of faucet-close."""
    counts = {"faucet-open": opened, "faucet-close": closed}
    return {**_entry(**successes), "swapped": {scene: {"did_asked": did, "n": 50} for scene, did in counts.items()}}


def test_a_policy_that_listens_passes(spoken):
    assert judge(_told(40, 30, **LISTENS), {"wordless": _entry(**WORDLESS)}, spoken) == []


def test_the_pair_is_judged_together(spoken):
    # faucet-close alone would be no evidence: 27 of 50 against 25.
    assert judge(_told(50, 50, faucet_open=50, faucet_close=27), {"wordless": _entry(**WORDLESS)}, spoken) == []


def test_success_that_needs_no_instruction_is_no_evidence(spoken):
    reasons = judge(_told(50, 50, **LISTENS), {"wordless": _entry(faucet_open=50, faucet_close=34)}, spoken)
    assert reasons == [
        "faucet-open, faucet-close: 86/100 is not better than the wordless policy's 84/100 (p = 0.422, needed 0.050)"
    ]


def test_who_does_not_do_what_it_is_told_does_not_pass(spoken):
    reasons = judge(_told(40, 29, **LISTENS), {"wordless": _entry(**WORDLESS)}, spoken)
    assert reasons == [
        "told the other task of the scene (faucet-open, faucet-close), it did that in 69/100 rollouts "
        "(0.69, needed 0.70)"
    ]


def test_without_its_controls_listening_is_unproven(spoken):
    assert judge(_entry(**LISTENS), {}, spoken) == [
        "no wordless policy was evaluated to compare with",
        "in the scene of faucet-open no other task was asked for, which gate.language_tasks names",
    ]
    assert judge(_entry(**LISTENS), {}, spoken.model_copy(update={"language_tasks": ()})) == []


def test_a_language_task_that_was_not_tried_is_named(spoken):
    reasons = judge(_told(50, 50, **LISTENS), {"wordless": _entry(faucet_open=10)}, spoken)
    assert reasons == ["faucet-close was not evaluated, which gate.language_tasks names"]
