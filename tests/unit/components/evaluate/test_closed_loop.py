from __future__ import annotations

import os

import pytest

from components.core.errors import BundleError
from components.evaluate.closed_loop import Bench, Plan, by_policy_and_task, run_plans
from components.sim.tasks import TASKS

TASK = "button-press-topdown"


@pytest.fixture
def plans(make_bundle, tmp_path):
    press = make_bundle(tmp_path / "press", "press", tasks={TASK: 1})
    stand = make_bundle(tmp_path / "stand", "stand", tasks={TASK: 1})
    return [Plan("press", press, TASK, 6), Plan("stand", stand, TASK, 2)]


@pytest.mark.sim
def test_success_is_what_happened_in_the_cell_whatever_the_number_of_processes(plans, params, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    alone = run_plans(plans, params.evaluate)
    monkeypatch.setenv("GRIPLINE_WORKERS", "2")
    assert run_plans(plans, params.evaluate) == alone
    grouped = by_policy_and_task(alone)
    pressed = grouped["press"][TASK]
    assert [rollout.seed for rollout in pressed] == list(range(100_000, 100_006))
    # The rule aims at the middle: two of the six buttons stand too far to the side.
    assert [rollout.success for rollout in pressed] == [False, False, True, True, True, True]
    assert all(rollout.did_scene == rollout.success and not rollout.swapped for rollout in pressed)
    # Begun within the horizon and held for half a second.
    assert all((10 <= rollout.steps < 35) if rollout.success else rollout.steps == 25 for rollout in pressed)
    assert all(rollout.steps == 25 and not rollout.success for rollout in grouped["stand"][TASK])
    assert [rollout.instruction for rollout in pressed][:5] == [*TASKS[TASK].phrasings, TASKS[TASK].phrasings[0]]


@pytest.mark.sim
def test_one_look_covers_the_actions_that_are_executed(plans, params):
    with Bench() as bench:
        (rollout,) = bench.run(plans[1], [100_000], params.evaluate.model_copy(update={"execute": 4}))
    assert (rollout.steps, rollout.replans) == (25, 7)


@pytest.mark.sim
def test_a_policy_can_be_told_the_other_task_of_a_scene(make_bundle, params, tmp_path):
    folder = make_bundle(tmp_path / "stand", "stand", tasks={"faucet-open": 1, "faucet-close": 1})
    plan = Plan("stand", folder, "faucet-open", 2, asked="faucet-close")
    with Bench() as bench:
        told = bench.run(plan, [100_000, 100_001], params.evaluate.model_copy(update={"execute": 4}))
    assert [(one.task, one.asked, one.success, one.did_scene) for one in told] == [
        ("faucet-open", "faucet-close", False, False)
    ] * 2
    assert all(one.swapped for one in told)
    assert [one.instruction for one in told] == [*TASKS["faucet-close"].phrasings[:2]]


def test_a_bundle_that_was_changed_is_not_run(plans, params):
    with (plans[0].folder / "policy.onnx").open("ab") as stream:
        stream.write(b"\0")
    with Bench() as bench, pytest.raises(BundleError, match=r"policy\.onnx"):
        bench.run(plans[0], [100_000], params.evaluate)


def test_an_evaluation_does_not_outlive_its_parent():
    import signal
    import subprocess
    import sys
    import time

    program = (
        "import os, subprocess, sys, time\n"
        "child = 'import sys, time; from components.core.children import die_with_parent;'\n"
        "child += 'die_with_parent(int(sys.argv[1])); print(1, flush=True); time.sleep(60)'\n"
        "done = subprocess.Popen([sys.executable, '-c', child, str(os.getpid())], stdout=subprocess.PIPE)\n"
        "done.stdout.readline(); print(done.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
