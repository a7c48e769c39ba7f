from __future__ import annotations

from components.evaluate.table import success_table


def _row(successes: int, n: int) -> dict:
    return {"successes": successes, "n": n, "low": 0.25, "high": 0.75}


def test_one_row_a_policy_and_what_was_done_when_told_another_task():
    told = {"asked": "faucet-close", "did_asked": 7, "did_scene": 1, "n": 9, "low": 0.5, "high": 0.9}
    policies = {
        "seed-1": {
            "tasks": {"faucet-open": _row(5, 10), "drawer-open": _row(1, 2)},
            "mean": 0.5,
            "swapped": {"faucet-open": told},
        },
        "wordless": {"tasks": {"faucet-open": _row(4, 8)}, "mean": 0.5},
    }
    assert (
        success_table({"confidence": 0.95, "policies": policies})
        == """\
Successes of rollouts, with 95% Wilson intervals.

| policy | drawer-open | faucet-open | mean |
| --- | --- | --- | --- |
| seed-1 | 1/2 (0.25-0.75) | 5/10 (0.25-0.75) | 0.50 |
| wordless | - | 4/8 (0.25-0.75) | 0.50 |

With the instruction of the other task of the scene:

| policy | scene of | told | did what it was told | did that of the scene |
| --- | --- | --- | --- | --- |
| seed-1 | faucet-open | faucet-close | 7/9 (0.50-0.90) | 1/9 |
"""
    )


def test_without_scenes_of_two_tasks_there_is_one_table():
    report = {"confidence": 0.9, "policies": {"blind": {"tasks": {"drawer-open": _row(0, 2)}, "mean": 0.0}}}
    assert success_table(report).splitlines() == [
        "Successes of rollouts, with 90% Wilson intervals.",
        "",
        "| policy | drawer-open | mean |",
        "| --- | --- | --- |",
        "| blind | 0/2 (0.25-0.75) | 0.00 |",
    ]
