from __future__ import annotations

import pytest

from components.core.errors import BundleError, RecordError
from components.core.files import read_json, sha256_file, write_json
from components.core.workspace import Workspace
from components.evaluate.gate import judge, run

TASKS = ("drawer-open", "button-press-topdown", "handle-pull", "faucet-open")


def _entry(bundle: str = "", n: int = 50, **successes: int) -> dict:
    rows = {task.replace("_", "-"): {"successes": count, "n": n} for task, count in successes.items()}
    mean = sum(row["successes"] / n for row in rows.values()) / len(rows)
    return {"bundle": bundle, "tasks": rows, "mean": mean}


GOOD = {"drawer_open": 50, "button_press_topdown": 49, "handle_pull": 45, "faucet_open": 44}
BLIND = {"drawer_open": 30, "button_press_topdown": 18, "handle_pull": 0, "faucet_open": 44}


@pytest.fixture
def gate(params):
    names = ("drawer-open", "button-press-topdown", "handle-pull")
    return params.gate.model_copy(update={"min_success": 0.7, "vision_tasks": names, "confidence": 0.95})


def test_a_policy_that_sees_passes(gate):
    assert judge(_entry(**GOOD), _entry(**BLIND), gate) == []


def test_success_that_needs_no_eyes_is_no_evidence(gate):
    reasons = judge(_entry(**{**GOOD, "drawer_open": 36}), _entry(**BLIND), gate)
    assert reasons == ["drawer-open: 36/50 is not better than the blind policy's 30/50 (p = 0.146, needed 0.050)"]


def test_the_level_decides(gate):
    better = _entry(**{**GOOD, "drawer_open": 37})  # against 30 of 50: p = 0.101
    assert judge(better, _entry(**BLIND), gate)
    assert judge(better, _entry(**BLIND), gate.model_copy(update={"confidence": 0.89})) == []


def test_a_task_that_blind_policies_solve_too_is_not_asked_about(gate):
    assert judge(_entry(**{**GOOD, "faucet_open": 40}), _entry(**{**BLIND, "faucet_open": 50}), gate) == []


def test_few_successes_are_refused(gate):
    low = _entry(drawer_open=30, button_press_topdown=30, handle_pull=30, faucet_open=30)
    blind = _entry(drawer_open=0, button_press_topdown=0, handle_pull=0, faucet_open=0)
    assert judge(low, blind, gate) == ["mean success 0.60 is below 0.70"]


def test_without_a_blind_policy_sight_is_unproven(gate):
    assert judge(_entry(**GOOD), None, gate) == ["no blind policy was evaluated to compare with"]
    assert judge(_entry(**GOOD), None, gate.model_copy(update={"vision_tasks": ()})) == []


def test_a_vision_task_that_was_not_tried_is_named(gate):
    reasons = judge(_entry(drawer_open=50, button_press_topdown=49), _entry(**BLIND), gate)
    assert reasons == ["handle-pull was not evaluated, which gate.vision_tasks names"]


@pytest.fixture
def workspace(make_bundle, tmp_path):
    """A workspace whose report says that seed-1 is good, seed-2 is not, and so on."""
    found = Workspace(tmp_path)
    tasks = dict.fromkeys(TASKS, 1)
    make_bundle(found.bundles / "seed-1", "press", tasks=tasks)
    make_bundle(found.bundles / "seed-2", "press", tasks=tasks, parity={"max_abs": 0.1, "limit": 1e-4})
    make_bundle(found.bundles / "seed-3", "press", tasks=tasks, parity={"max_abs": None, "limit": 1e-4})
    make_bundle(found.bundles / "blind", "stand", tasks=tasks, blind=True)
    make_bundle(found.bundles / "untrained", "stand", tasks=tasks)
    successes = dict.fromkeys(("seed-1", "seed-2", "seed-3", "untrained"), GOOD) | {"blind": BLIND}
    policies = {
        name: _entry(sha256_file(found.bundles / name / "manifest.json"), **counts)
        for name, counts in successes.items()
    }
    write_json(found.evaluation / "report.json", {"confidence": 0.95, "policies": policies})
    return found


def test_the_verdict_names_every_policy_and_its_reasons(workspace, params):
    run(workspace, params)
    verdict = read_json(workspace.gate / "verdict.json")["policies"]
    assert {name: entry["passed"] for name, entry in verdict.items()} == {
        "seed-1": True,
        "seed-2": False,
        "seed-3": False,
        "blind": False,
        "untrained": False,
    }
    assert verdict["seed-1"]["reasons"] == []
    assert verdict["seed-1"]["bundle"] == sha256_file(workspace.bundles / "seed-1" / "manifest.json")
    assert verdict["seed-2"]["reasons"] == ["its graph differs from its checkpoint by 0.1, the limit is 0.0001"]
    assert verdict["seed-3"]["reasons"] == ["its graph answers NaN"]
    assert verdict["blind"]["reasons"] == ["it sees no images: it is the blind control"]
    # The controls never pass, even with success that would do for others.
    assert verdict["untrained"]["reasons"] == ["it is the untrained control"]
    assert workspace.journal.read()[-1]["passed"] == {"seed-1": verdict["seed-1"]["bundle"]}


def test_a_report_of_other_bundles_is_refused(workspace, params):
    write_json(workspace.bundles / "seed-1" / "manifest.json", {})
    with pytest.raises(RecordError, match="Run the stage evaluate again"):
        run(workspace, params)
    assert not workspace.gate.exists()


def test_a_missing_report_is_named(tmp_path, params):
    with pytest.raises(RecordError, match=r"report\.json: no such file"):
        run(Workspace(tmp_path), params)


def test_a_bundle_without_parity_cannot_be_judged(workspace, params):
    (workspace.bundles / "seed-1" / "parity.json").write_text("{}")
    with pytest.raises(BundleError, match=r"no parity to judge: 'max_abs'"):
        run(workspace, params)
