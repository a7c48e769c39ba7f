from __future__ import annotations

from pathlib import Path

import pytest

from components.core.files import write_json
from components.core.workspace import Workspace
from flows.summary import as_text, collect, links_page, write_page
from flows.training_look import mlflow_page


@pytest.fixture
def finished(tmp_path: Path) -> Workspace:
    """The outputs of a run in which one episode was set aside by ingest and one by the checks."""
    workspace = Workspace(tmp_path)
    aside = [{"source": "a.mcap", "code": "truncated", "detail": "no footer"}]
    write_json(
        workspace.data / "ingest.json",
        {"episodes_in": 12, "episodes_out": 11, "frames": 220, "quarantined": aside, "dataset_digest": "d" * 64},
    )
    failed = [{"episode_id": "e" * 64, "episode_index": 3, "source_uri": "b.hdf5#demo_1", "codes": ["nan"]}]
    write_json(
        workspace.checks / "checks.json",
        {"passed": True, "episodes": 11, "accepted": 10, "quarantined": 1, "failed": failed, "limits": []},
    )
    row = {"successes": 9, "n": 10, "rate": 0.9, "low": 0.6, "high": 0.98, "mean_steps": 20.0}
    write_json(
        workspace.evaluation / "report.json", {"policies": {"seed-1": {"tasks": {"drawer-open": row}, "mean": 0.9}}}
    )
    return workspace


def judge(workspace: Workspace, *, passed: bool) -> None:
    entry = {"passed": passed, "bundle": "b" * 64, "reasons": [] if passed else ["mean success 0.10 is below 0.70"]}
    write_json(workspace.gate / "verdict.json", {"policies": {"seed-1": entry}})


RELEASE = {
    "version": "2",
    "policy": "seed-2",
    "outcome": "promoted",
    "reason": "not worse",
    "numbers": {"attempts": 90},
}


def test_the_summary_says_what_was_set_aside_and_what_was_released(finished: Workspace) -> None:
    judge(finished, passed=True)
    summary = collect(finished, {"raw": "unchanged", "train": "ran"}, [RELEASE], 61.26)
    text = as_text(summary)
    assert summary["exit_code"] == 0
    for part in (
        "12 episodes found, 11 in the dataset, 10 accepted",
        "[truncated] a.mcap",
        "[nan] b.hdf5#demo_1",
        "9/10 (0.60-0.98)",
        "version 2 (seed-2): promoted, not worse [attempts 90]",
        "unchanged",
        "gripline ui",
    ):
        assert part in text


def test_text_and_page_say_what_a_policy_does_when_it_is_told_another_task(finished: Workspace) -> None:
    told = {"asked": "faucet-close", "did_asked": 41, "did_scene": 2, "n": 50, "low": 0.69, "high": 0.9}
    row = {"successes": 9, "n": 10, "rate": 0.9, "low": 0.6, "high": 0.98, "mean_steps": 20.0}
    entry = {"tasks": {"faucet-open": row}, "mean": 0.9, "swapped": {"faucet-open": told}}
    before = as_text(collect(finished, {}, [], 0.0))
    write_json(finished.evaluation / "report.json", {"policies": {"seed-1": entry}})
    summary = collect(finished, {}, [], 0.0)
    for text in (as_text(summary), write_page(finished, summary).read_text()):
        for part in ("told the other task of the scene", "faucet-close", "41/50 (0.69-0.90)", "2/50"):
            assert part.lower() in text.lower()
    assert "told the other task" not in before


@pytest.mark.parametrize(
    ("passed", "releases", "code"),
    [
        (True, [RELEASE], 0),
        (False, [], 1),
        (True, [{**RELEASE, "outcome": "rolled_back"}], 1),
        (True, [{**RELEASE, "outcome": "held"}], 0),
    ],
)
def test_a_gate_or_a_judge_that_said_no_ends_with_1(
    finished: Workspace, passed: bool, releases: list, code: int
) -> None:
    judge(finished, passed=passed)
    assert collect(finished, {}, releases, 0.0)["exit_code"] == code


def test_the_page_links_everything_with_relative_links(finished: Workspace) -> None:
    judge(finished, passed=False)
    page = write_page(finished, collect(finished, {"raw": "ran"}, [RELEASE], 1.0)).read_text()
    assert 'href="../data/check_docs/index.html"' in page
    assert "mean success 0.10 is below 0.70" in page
    assert str(finished.root) not in page


def test_an_empty_workspace_has_an_empty_summary(tmp_path: Path) -> None:
    summary = collect(Workspace(tmp_path), {}, [], 0.0)
    assert "where to look" in as_text(summary)
    assert "nothing was rolled out" in write_page(Workspace(tmp_path), summary).read_text()


def test_the_first_page_links_only_what_exists(finished: Workspace) -> None:
    (finished.rollouts / "r1").mkdir(parents=True)
    (finished.rollouts / "r1" / "report.html").touch()
    page = links_page(finished, {"MLflow": "http://127.0.0.1:1"})
    assert "/.gripline/rollouts/r1/report.html" in page
    assert "http://127.0.0.1:1" in page
    assert "Contact sheet" not in page


def test_a_card_is_linked_where_there_is_one(finished: Workspace) -> None:
    judge(finished, passed=True)
    assert "card of the dataset" not in collect(finished, {}, [], 0.0)["look"]
    card = finished.data / "dataset-card" / "card.html"
    card.parent.mkdir()
    card.write_text("a card")
    assert collect(finished, {}, [], 0.0)["look"]["card of the dataset"] == "data/dataset-card/card.html"
    assert "/data/dataset-card/card.html" in links_page(finished, {})


def test_what_training_left_is_shown_and_its_run_named(finished: Workspace) -> None:
    judge(finished, passed=True)
    assert "Training" not in write_page(finished, collect(finished, {}, [], 0.0)).read_text()
    for name in ("curves.png", "looks/seed-1.png", "looks/seed-1-errors.png"):
        (finished.train / name).parent.mkdir(parents=True, exist_ok=True)
        (finished.train / name).touch()
    write_json(finished.training_run, {"training": "t" * 64, "experiment": "2", "run": "abc"})
    summary = collect(finished, {}, [], 0.0)
    assert "learning curves: data/train/curves.png" in as_text(summary)
    page = write_page(finished, summary).read_text()
    assert '<img src="../data/train/curves.png"' in page
    assert '<img src="../data/train/looks/seed-1.png"' in page
    assert 'href="../data/train/looks/seed-1-errors.png"' in page
    assert "run <code>abc</code>" in page
    assert mlflow_page(finished, "http://127.0.0.1:5") == "http://127.0.0.1:5/#/experiments/2/runs/abc"
    assert mlflow_page(Workspace(finished.root / "other"), "http://127.0.0.1:5") == ""
    assert "/data/train/curves.png" in links_page(finished, {})
