"""Finds the serving environment: a virtual environment with tritonserver and Envoy, apart from the pipeline's own.

Triton 2.51's Python backend returns empty tensors under numpy 2, so it cannot live where the pipeline lives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import MissingDependency
from components.core.files import sha256_file

SERVING_ENV = "GRIPLINE_SERVING_ENV"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = ".venv-serving"
_STUB = "triton_python_backend_stub"
_BACKEND_FILES = ("libtriton_python.so", "triton_python_backend_utils.py")


@dataclass(frozen=True)
class ServingEnvironment:
    """`prefix` of the virtual environment, its `site` (site-packages) and its Python, "3.11"."""

    prefix: Path
    site: Path
    python: str

    @property
    def tritonserver(self) -> Path:
        return self.site / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def libraries(self) -> Path:
        return self.site / "nvidia_pytriton.libs"

    @property
    def backend(self) -> Path:
        return self.site / "pytriton" / "tritonserver" / "backends" / "python"

    @property
    def stub(self) -> Path:
        """The program that runs a Python model: it must be built for the very Python of the environment."""
        return self.site / "pytriton" / "tritonserver" / "python_backend_stubs" / self.python / _STUB

    @property
    def envoy(self) -> Path:
        return self.site / "envoy" / "_bin" / "envoy"

    def variables(self) -> dict[str, str]:
        """Environment of a server process: nothing of the caller's but its PATH, home and language."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            # The stub finds its standard library through the first python3 on the PATH.
            "PATH": f"{self.prefix / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": str(self.libraries),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def find_environment(beside: Path | None = None) -> ServingEnvironment:
    """Looks in $GRIPLINE_SERVING_ENV, or else for .venv-serving in `beside` (a workspace) and beside the project.

    Raises `MissingDependency` with the command that mends it.
    """
    named = os.environ.get(SERVING_ENV)
    places = [Path(named)] if named else [place / _FOLDER for place in (beside, PROJECT_ROOT) if place is not None]
    for place in places:
        for site in sorted(place.glob("lib/python3.*/site-packages")):
            found = ServingEnvironment(place, site, site.parent.name.removeprefix("python"))
            _require_programs(found)
            return found
    raise MissingDependency("no serving environment", where=" or ".join(map(str, places)), hint=_mend(places[0]))


def _require_programs(found: ServingEnvironment) -> None:
    for path in (found.tritonserver, found.backend / _BACKEND_FILES[0], found.envoy):
        if not path.is_file():
            raise MissingDependency(f"no {path.name}", where=str(found.prefix), hint=_mend(found.prefix))
    if not found.stub.is_file():
        known = sorted(path.name for path in found.stub.parents[1].iterdir())
        raise MissingDependency(
            f"tritonserver has no Python backend for Python {found.python}, only for {', '.join(known)}",
            where=str(found.prefix),
            hint=_mend(found.prefix),
        )


def _mend(prefix: Path) -> str:
    lock = PROJECT_ROOT / "requirements" / "serving.lock"
    return f"Make it with: python3.11 -m venv {prefix} && {prefix}/bin/pip install -r {lock}"


def prepare_backends(environment: ServingEnvironment, folder: Path) -> Path:
    """Lays `folder`/python out as tritonserver wants it, the matching stub beside the library; returns `folder`.

    Raises `MissingDependency` where the stub cannot run, which tritonserver itself would report as a time-out.
    """
    target = folder / "python"
    target.mkdir(parents=True, exist_ok=True)
    for source in (*(environment.backend / name for name in _BACKEND_FILES), environment.stub):
        copy = target / source.name
        if not copy.is_file() or sha256_file(copy) != sha256_file(source):
            partial = copy.with_name(f".{copy.name}.{os.getpid()}")
            shutil.copy2(source, partial)
            partial.replace(copy)
    _require_libraries(target / _STUB, environment)
    return folder


def _require_libraries(stub: Path, environment: ServingEnvironment) -> None:
    done = subprocess.run(["ldd", str(stub)], env=environment.variables(), capture_output=True, text=True, check=False)
    missing = [line.split()[0] for line in done.stdout.splitlines() if "not found" in line]
    if missing:
        raise MissingDependency(
            f"the Python backend lacks {', '.join(missing)}",
            where=str(stub),
            hint=f"Install it with: apt-get install libpython{environment.python}",
        )
