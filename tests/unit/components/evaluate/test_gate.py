from __future__ import annotations

import pytest

from components.core.errors import BundleError, RecordError
from components.core.files import read_json, sha256_file, write_json
from components.core.workspace import Workspace
from components.evaluate.gate import run

TASKS = ("drawer-open", "button-press-topdown", "handle-pull", "faucet-open", "faucet-close")


def _entry(bundle: str = "", n: int = 50, **successes: int) -> dict:
    rows = {task.replace("_", "-"): {"successes": count, "n": n} for task, count in successes.items()}
    mean = sum(row["successes"] / n for row in rows.values()) / len(rows)
    swapped = {task: {"did_asked": 40, "n": n} for task in ("faucet-open", "faucet-close")}
    return {"bundle": bundle, "tasks": rows, "mean": mean, "swapped": swapped}


GOOD = {"drawer_open": 50, "button_press_topdown": 49, "handle_pull": 45, "faucet_open": 48, "faucet_close": 40}
BLIND = {"drawer_open": 30, "button_press_topdown": 18, "handle_pull": 0, "faucet_open": 44, "faucet_close": 30}
WORDLESS = {**GOOD, "faucet_open": 30, "faucet_close": 30}


@pytest.fixture
def workspace(make_bundle, tmp_path):
    """A workspace whose report says that seed-1 is good, seed-2 is not, and so on."""
    found = Workspace(tmp_path)
    tasks = dict.fromkeys(TASKS, 1)
    make_bundle(found.bundles / "seed-1", "press", tasks=tasks)
    make_bundle(found.bundles / "seed-2", "press", tasks=tasks, parity={"max_abs": 0.1, "limit": 1e-4})
    make_bundle(found.bundles / "seed-3", "press", tasks=tasks, parity={"max_abs": None, "limit": 1e-4})
    make_bundle(found.bundles / "blind", "stand", tasks=tasks, blind=True)
    make_bundle(found.bundles / "wordless", "press", tasks=tasks, wordless=True)
    make_bundle(found.bundles / "untrained", "stand", tasks=tasks)
    successes = dict.fromkeys(("seed-1", "seed-2", "seed-3", "untrained"), GOOD) | {
        "blind": BLIND,
        "wordless": WORDLESS,
    }
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
        "wordless": False,
        "untrained": False,
    }
    assert verdict["seed-1"]["reasons"] == []
    assert verdict["seed-1"]["bundle"] == sha256_file(workspace.bundles / "seed-1" / "manifest.json")
    assert verdict["seed-2"]["reasons"] == ["its graph differs from its checkpoint by 0.1, the limit is 0.0001"]
    assert verdict["seed-3"]["reasons"] == ["its graph answers NaN"]
    assert verdict["blind"]["reasons"] == ["it sees no images: it is the blind control"]
    assert verdict["wordless"]["reasons"] == ["it is told nothing: it is the wordless control"]
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


def test_a_bundle_that_no_cell_can_try_does_not_pass_in_silence(workspace, make_bundle, params):
    folder = make_bundle(workspace.bundles / "seed-1@arm", "press", tasks=dict.fromkeys(TASKS, 1))
    report = read_json(workspace.evaluation / "report.json")
    entry = {
        "bundle": sha256_file(folder / "manifest.json"),
        "reason": "not evaluated: there is no simulated cell of arm",
    }
    report["not_evaluated"] = {"seed-1@arm": entry}
    write_json(workspace.evaluation / "report.json", report)
    run(workspace, params)
    verdict = read_json(workspace.gate / "verdict.json")["policies"]
    assert verdict["seed-1@arm"] == {"passed": False, "bundle": entry["bundle"], "reasons": [entry["reason"]]}
    assert verdict["seed-1"]["passed"]
