from __future__ import annotations

from components.train.jobs import Job, plan_jobs


def test_one_job_a_seed_and_three_controls(params):
    changed = params.model_copy(update={"seeds": (7, 3), "steps": 100, "blind_steps": 50, "wordless_steps": 60})
    assert plan_jobs(changed) == [
        Job("seed-7", 7, 100),
        Job("seed-3", 3, 100),
        Job("wordless", 7, 60, wordless=True),
        Job("blind", 7, 50, blind=True),
        Job("untrained", 7, 0),
    ]


def test_a_control_of_no_steps_is_left_out(params):
    changed = params.model_copy(update={"seeds": (7,), "steps": 100, "blind_steps": 0, "wordless_steps": 0})
    assert plan_jobs(changed) == [Job("seed-7", 7, 100), Job("untrained", 7, 0)]
