"""The architecture as tests: who may import whom, and what stays light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("torch", "lightning", "mlflow", "prefect", "great_expectations", "mujoco", "metaworld", "pandas", "dvc", "ray"),
    *("duckdb", "plotly", "rerun"),
)


def loaded_after(code: str, project: Path) -> set[str]:
    """Top-level modules in a fresh process that ran `code`."""
    program = f"import sys, json\n{code}\njson.dump(sorted({{m.partition('.')[0] for m in sys.modules}}), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["components", "model_registry", "deploy", "flows", "flows.cli"])
def test_a_package_imports_nothing_heavy(package: str, project: Path) -> None:
    assert loaded_after(f"import {package}", project).isdisjoint(HEAVY)


def _modules(project: Path, *folders: str) -> list[str]:
    paths = [path for folder in folders for path in sorted((project / folder).rglob("*.py"))]
    names = [path.relative_to(project).with_suffix("").as_posix().replace("/", ".") for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith(("__main__", "python_model"))]


@pytest.mark.parametrize("folder", ["core", "formats", "checks", "bundle"])
def test_what_reads_and_serves_loads_no_torch(folder: str, project: Path) -> None:
    code = "\n".join(f"import {name}" for name in _modules(project, f"components/{folder}"))
    assert "torch" not in loaded_after(code, project)


def test_deploy_loads_no_torch(project: Path) -> None:
    code = "\n".join(f"import {name}" for name in _modules(project, "deploy"))
    assert "torch" not in loaded_after(code, project)


def test_import_contracts_hold(project: Path) -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_of_source_says_what_it_is(project: Path) -> None:
    folders = [path.parent for root in ("components", "model_registry", "deploy", "flows") for path in
               (project / root).rglob("__init__.py")]  # fmt: skip
    missing = [str(f.relative_to(project)) for f in folders if not (f / "README.md").is_file() and f.name != "commands"]
    assert missing == []


def test_package_modules_hold_nothing_but_words(project: Path) -> None:
    """`__init__.py` runs at every import below it, so it holds a docstring at most."""
    import ast

    for root in ("components", "model_registry", "deploy", "flows"):
        for path in (project / root).rglob("__init__.py"):
            body = ast.parse(path.read_text()).body
            code = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
            assert code == [], path


def test_dvc_stages_depend_on_the_code_they_run(project: Path) -> None:
    """A stage whose code is not among its deps would ship stale results silently."""
    import yaml

    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        module = stage["cmd"].removeprefix("python -m ")
        used = _imported_components(project, module)
        declared = {dep.replace("/", ".") for dep in stage["deps"] if dep.startswith("components/")}
        missing = {item for item in used if not any(item == d or item.startswith(f"{d}.") for d in declared)}
        assert missing == set(), f"stage {name}: add {sorted(missing)} to deps"


def _imported_components(project: Path, package: str) -> set[str]:
    """Packages `components.x` that the modules of `package` import, directly or through one another."""
    import grimp

    graph = _graph(grimp)
    modules = {m for m in graph.modules if m == package or m.startswith(f"{package}.")}
    reached = set().union(*(graph.find_upstream_modules(m) for m in modules)) | modules
    return {".".join(m.split(".")[:2]) for m in reached if m.startswith("components.")}


def _graph(grimp):
    if not hasattr(_graph, "made"):
        _graph.made = grimp.build_graph("components", cache_dir=None)
    return _graph.made
