from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import MissingDependency
from deploy.triton.environment import SERVING_ENV, ServingEnvironment, find_environment, prepare_backends


def _lay_out(prefix: Path, python: str = "3.11", stubs: tuple[str, ...] = ("3.10", "3.11")) -> ServingEnvironment:
    found = ServingEnvironment(prefix, prefix / "lib" / f"python{python}" / "site-packages", python)
    files = [found.tritonserver, found.envoy, found.backend / "libtriton_python.so"]
    files += [found.backend / "triton_python_backend_utils.py"]
    files += [found.stub.parents[1] / version / found.stub.name for version in stubs]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.parent.name)
    return found


def test_the_named_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = _lay_out(tmp_path / "named")
    _lay_out(tmp_path / ".venv-serving")
    monkeypatch.setenv(SERVING_ENV, str(named.prefix))
    assert find_environment(tmp_path) == named


def test_the_one_beside_the_workspace_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVING_ENV, raising=False)
    found = _lay_out(tmp_path / ".venv-serving")
    assert find_environment(tmp_path) == found


def test_a_missing_environment_comes_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVING_ENV, str(tmp_path / "absent"))
    with pytest.raises(
        MissingDependency, match=r"no serving environment.*python3.11 -m venv .*serving\.lock"
    ) as caught:
        find_environment()
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["tritonserver", "envoy", "libtriton_python.so"])
def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = _lay_out(tmp_path)
    next(path for path in tmp_path.rglob(name) if path.is_file()).unlink()
    monkeypatch.setenv(SERVING_ENV, str(found.prefix))
    with pytest.raises(MissingDependency, match=rf"no {name}.*pip install"):
        find_environment()


def test_a_python_without_a_stub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVING_ENV, str(_lay_out(tmp_path, python="3.14").prefix))
    with pytest.raises(MissingDependency, match=r"no Python backend for Python 3\.14, only for 3\.10, 3\.11"):
        find_environment()


def test_the_stub_of_the_right_python_lies_beside_the_backend(tmp_path: Path) -> None:
    found = _lay_out(tmp_path / "env")
    folder = prepare_backends(found, tmp_path / "backends")
    assert (folder / "python" / found.stub.name).read_text() == "3.11"
    found.stub.write_text("newer")
    prepare_backends(found, folder)
    assert (folder / "python" / found.stub.name).read_text() == "newer"
    assert sorted(path.name for path in (folder / "python").iterdir()) == [
        "libtriton_python.so",
        "triton_python_backend_stub",
        "triton_python_backend_utils.py",
    ]


def test_servers_get_only_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "x")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    found = _lay_out(tmp_path).variables()
    assert "SOME_SECRET" not in found
    assert "PYTHONPATH" not in found
    assert found["PATH"].startswith(str(tmp_path / "bin"))
