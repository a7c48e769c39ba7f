from __future__ import annotations

from pathlib import Path

import pytest

from components.core.files import write_json
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from flows import release
from flows.release import Plant, passed_bundles, settled
from model_registry.registry import ModelVersion


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


def verdict(workspace: Workspace, **passed: bool) -> None:
    policies = {name: {"bundle": name * 4, "passed": ok, "reasons": []} for name, ok in passed.items()}
    write_json(workspace.gate / "verdict.json", {"policies": policies})


class Versions:
    """Stands in for the registry's answers; what it holds is the test's business."""

    def __init__(self, **tags: dict[str, str]) -> None:
        self._found = {
            name * 4: ModelVersion(str(number), name * 4, Path(), values)
            for number, (name, values) in enumerate(tags.items(), start=1)
        }

    def by_digest(self, digest: str) -> ModelVersion | None:
        return self._found.get(digest)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    (made.state / "mlflow").mkdir(parents=True)
    (made.state / "mlflow" / "mlflow.db").touch()
    return made


def answer(monkeypatch: pytest.MonkeyPatch, versions: Versions) -> None:
    monkeypatch.setattr(release, "Registry", lambda *_: versions)


def test_only_what_passed_is_tried_in_order_of_name(workspace: Workspace) -> None:
    assert passed_bundles(workspace) == {}
    verdict(workspace, b=True, a=True, blind=False)
    assert list(passed_bundles(workspace)) == ["a", "b"]


def test_a_policy_that_is_not_registered_or_not_tried_is_unsettled(workspace, params, monkeypatch) -> None:
    verdict(workspace, a=True, b=True)
    tried = {"outcome": "bootstrap", "outcome_reason": "first"}
    answer(monkeypatch, Versions(a=tried))
    assert settled(workspace, params) is None
    answer(monkeypatch, Versions(a=tried, b={}))
    assert settled(workspace, params) is None
    answer(monkeypatch, Versions(a=tried, b={"outcome": "promoted", "outcome_reason": "not worse"}))
    found = settled(workspace, params)
    assert found is not None
    assert [entry["outcome"] for entry in found] == ["bootstrap", "promoted"]


def test_nothing_passed_is_settled_and_no_store_is_not(workspace, params) -> None:
    assert settled(workspace, params) == []
    verdict(workspace, a=True)
    (workspace.state / "mlflow" / "mlflow.db").unlink()
    assert settled(workspace, params) is None


def test_every_resting_phase_has_an_outcome() -> None:
    from deploy.rollout.plan import RESTING

    assert {phase.value for phase in RESTING} == set(release._OUTCOMES)


def test_a_plant_starts_nothing(workspace, params) -> None:
    plant = Plant(workspace, params)
    assert plant.serving.status()["slots"] == {}
    assert plant.registry.uri.startswith("sqlite:///")
