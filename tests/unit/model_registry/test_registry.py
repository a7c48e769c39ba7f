from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.core.errors import GateRefused, UsageError
from components.core.files import sha256_file
from components.core.records import read_record
from components.core.workspace import Workspace
from model_registry.registry import Registry
from model_registry.tail import Tail
from model_registry.training_link import TRAINING_RUN

# MLflow 3.17 on Python 3.11 leaves SQLite connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow database; making one takes seconds, copying it none."""
    root = tmp_path_factory.mktemp("store")
    Registry(Workspace(root), "cell").init()
    return root / ".gripline" / "mlflow" / "mlflow.db"


@pytest.fixture
def registry(workspace: Workspace, empty_store: Path) -> Registry:
    target = workspace.state / "mlflow" / "mlflow.db"
    target.parent.mkdir(parents=True)
    shutil.copyfile(empty_store, target)
    return Registry(workspace, "cell")


def test_a_version_carries_every_link_of_its_chain(registry: Registry, make_run) -> None:
    bundle = make_run()
    version = registry.register(bundle)

    checkpoint = read_record(registry.workspace.train / "seed-1")
    assert version.version == "1"
    assert version.tags["checkpoint"] == checkpoint.digest
    assert version.tags["dataset"] == checkpoint.inputs["dataset"]
    assert version.tags["verdicts"] == checkpoint.inputs["verdicts"]
    assert version.tags["gate"] == "passed"
    assert sha256_file(version.path / "manifest.json") == version.digest == version.tags["bundle"]


def test_the_same_bundle_is_registered_once(registry: Registry, make_run) -> None:
    bundle = make_run()
    assert registry.register(bundle) == registry.register(bundle)
    assert [item.version for item in registry.versions()] == ["1"]
    events = [line["event"] for line in registry.workspace.journal.read()]
    assert events == ["register"]


def test_a_registration_killed_before_the_version_is_finished_by_the_next(
    registry: Registry, make_run, monkeypatch
) -> None:
    bundle = make_run()
    with monkeypatch.context() as patched:
        patched.setattr(registry.client, "create_model_version", _die)
        with pytest.raises(KeyboardInterrupt):
            registry.register(bundle)
    assert registry.versions() == []

    version = registry.register(bundle)

    experiment = registry.client.get_experiment_by_name("gripline")
    runs = registry.client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert registry.client.get_model_version("cell", version.version).run_id == runs[0].info.run_id


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_metrics_and_params_reach_the_run(registry: Registry, make_run) -> None:
    version = registry.register(make_run())
    run_id = registry.client.get_model_version("cell", version.version).run_id
    run = registry.client.get_run(run_id)
    assert run.data.metrics["success/drawer-open"] == 0.9
    assert run.data.metrics["train/val_loss"] == 0.5
    assert run.data.params["steps"] == "5"
    assert {item.path for item in registry.client.list_artifacts(run_id)} >= {"card.md", "gate.json", "evaluation.json"}


def test_aliases_move_and_are_journalled(registry: Registry, make_run) -> None:
    one = registry.register(make_run("seed-1"))
    two = registry.register(make_run("seed-2"))
    assert registry.alias("champion") is None
    registry.set_alias("champion", one.version)
    registry.set_alias("champion", two.version)
    champion = registry.alias("champion")
    assert champion is not None
    assert champion.version == two.version
    assert champion.aliases == ("champion",)
    again = registry.by_digest(two.digest)
    assert again is not None
    assert again.aliases == ("champion",)
    moves = [line["version"] for line in registry.workspace.journal.read() if line["event"] == "alias"]
    assert moves == [one.version, two.version]


def test_what_the_gate_refused_never_becomes_champion(registry: Registry, make_run) -> None:
    version = registry.register(make_run(passed=False))
    assert version.tags["gate"] == "refused"
    with pytest.raises(GateRefused, match=r"did not pass the gate: mean success 0\.20"):
        registry.set_alias("champion", version.version)
    assert registry.alias("champion") is None


def test_a_drill_is_a_version_that_never_becomes_champion(registry: Registry, make_run, degraded_copy) -> None:
    bundle = make_run()
    parent = registry.register(bundle)
    drill = registry.register(degraded_copy(bundle), drill=True)
    assert drill.drill
    assert drill.tags["derived_from"] == parent.digest
    with pytest.raises(GateRefused, match="version 2 is a rollback drill"):
        registry.set_alias("champion", drill.version)


def test_unknown_versions_and_aliases_are_named(registry: Registry, make_run) -> None:
    registry.register(make_run())
    with pytest.raises(UsageError, match="no version '9' of cell; there are: 1"):
        registry.get("9")
    with pytest.raises(UsageError, match="no alias 'winner'"):
        registry.alias("winner")


def test_an_alias_can_be_dropped_twice(registry: Registry, make_run) -> None:
    version = registry.register(make_run())
    registry.set_alias("canary", version.version)
    registry.drop_alias("canary")
    registry.drop_alias("canary")
    assert registry.alias("canary") is None


def test_parallel_first_touches_do_not_break_a_fresh_store(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from components.core.workspace import Workspace;"
        "from model_registry.registry import Registry;"
        f"print(Registry(Workspace(Path({str(tmp_path)!r})), 'cell').init().get_registered_model('cell').name)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    done = [(process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, code in done] == [0, 0, 0], done
    assert [out.strip() for (out, _), _ in done] == ["cell"] * 3


def test_mlflow_is_not_imported_with_the_registry() -> None:
    code = "import sys, json, model_registry.registry; print(json.dumps([m for m in sys.modules if m == 'mlflow']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_bundle_leads_to_its_training_and_has_its_learning_curves(registry: Registry, make_run) -> None:
    bundle = make_run()
    (registry.workspace.train / "curves.png").write_bytes(b"png")
    Tail(registry.workspace).look()
    version = registry.register(bundle)
    run = registry.client.get_run(registry.client.get_model_version(registry.model, version.version).run_id)
    training = registry.client.get_run(run.data.tags[TRAINING_RUN])
    assert training.data.tags["gripline.checkpoint"] == version.tags["checkpoint"]
    assert training.data.tags["gripline.job"] == "seed-1"
    assert "curves.png" in {item.path for item in registry.client.list_artifacts(run.info.run_id)}


def test_a_bundle_whose_training_nobody_logged_is_registered_all_the_same(registry: Registry, make_run) -> None:
    version = registry.register(make_run())
    run = registry.client.get_run(registry.client.get_model_version(registry.model, version.version).run_id)
    assert TRAINING_RUN not in run.data.tags
