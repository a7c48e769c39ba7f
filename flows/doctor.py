"""What this machine has of what gripline needs, and the command that brings the rest."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import shutil
import sys
from pathlib import Path
from typing import TypedDict

from components.core.errors import GriplineError

# Distribution -> what it is for. The versions are those of requirements/pipeline.lock.
_PACKAGES = {
    "torch": "training",
    "lightning": "training",
    "peft": "training with adapters",
    "onnxruntime": "policies",
    "onnx": "export",
    "dvc": "the pipeline",
    "prefect": "flows",
    "mlflow": "the registry",
    "great-expectations": "data checks",
    "h5py": "HDF5",
    "mcap-ros2-support": "MCAP, ROS 2",
    "mcap-protobuf-support": "MCAP, protobuf",
    "google-crc32c": "RLDS",
    "pyarrow": "LeRobot and the dataset",
    "av": "video",
    "metaworld": "simulated cells",
    "tritonclient": "the robots' client",
}
_GL = ("OSMesa", "EGL")
_APT = "sudo apt-get install -y libosmesa6 libegl1 libgl1 libgl1-mesa-dri"


class Finding(TypedDict):
    name: str
    ok: bool
    found: str
    mend: str


def examine() -> list[Finding]:
    """Every thing needed, in the order in which to mend it."""
    found = [_python()]
    found += [_package(name, use) for name, use in _PACKAGES.items()]
    found += [_gl(), _git(), _fastapi(), _serving(), _disk()]
    return found


def _finding(name: str, ok: bool, found: str, mend: str) -> Finding:
    return {"name": name, "ok": ok, "found": found, "mend": "" if ok else mend}


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return _finding("Python 3.11", sys.version_info[:2] == (3, 11), version, "install Python 3.11, then `make setup`")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _package(name: str, use: str) -> Finding:
    version = _version(name)
    return _finding(f"{name} ({use})", bool(version), version or "not installed", "make setup")


def _gl() -> Finding:
    library = next((found for name in _GL if (found := ctypes.util.find_library(name))), None)
    return _finding("software GL (rendering)", library is not None, library or "no libOSMesa, no libEGL", _APT)


def _git() -> Finding:
    path = shutil.which("git")
    return _finding(
        "git (DVC keeps its lock in it)", path is not None, path or "not found", "sudo apt-get install -y git"
    )


def _fastapi() -> Finding:
    """Prefect 3.8 cannot start with fastapi 0.155 or newer."""
    version = _version("fastapi")
    numbers = tuple(int(part) for part in version.split(".")[:2]) if version else (0, 0)
    ok = bool(version) and numbers < (0, 155)
    return _finding("fastapi below 0.155 (Prefect)", ok, version or "not installed", 'pip install "fastapi<0.155"')


def _serving() -> Finding:
    from deploy.triton.environment import find_environment

    try:
        found = find_environment()
    except GriplineError as error:
        return _finding("serving environment (Triton, Envoy)", False, error.message, "make setup")
    return _finding("serving environment (Triton, Envoy)", True, found.prefix.name, "make setup")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return _finding("disk space above 2 GB", free > 2, f"{free:.0f} GB free", "free some space")
