from __future__ import annotations

from components.train.jobs import Job, plan_jobs


def test_one_job_a_seed_and_two_controls(params):
    changed = params.model_copy(update={"seeds": (7, 3), "steps": 100, "blind_steps": 50})
    assert plan_jobs(changed) == [
        Job("seed-7", 7, 100),
        Job("seed-3", 3, 100),
        Job("blind", 7, 50, blind=True),
        Job("untrained", 7, 0),
    ]
