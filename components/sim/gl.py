"""Software OpenGL for MuJoCo: chosen before MuJoCo is imported, and explained where it is missing."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from components.core.errors import MissingDependency

_APT = "Leave MUJOCO_GL unset and run: apt-get install -y libosmesa6 libegl1 libgl1 libgl1-mesa-dri"
_PIP = "Install it with: pip install 'gripline[sim]'"


def load_mujoco() -> ModuleType:
    """Imports MuJoCo with a renderer that needs no display. Raises `MissingDependency` with the command to run."""
    # MuJoCo reads MUJOCO_GL once, when it is imported. One llvmpipe thread: the stages run one process a core.
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise MissingDependency(f"MuJoCo cannot be imported: {error}", hint=_PIP) from error
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        # PyOpenGL fails with an AttributeError on None where the shared library is absent.
        raise missing_gl(error) from error
    return mujoco


def load_metaworld() -> tuple[dict[str, Any], ModuleType]:
    """Imports Meta-World: the environments by name, and the module of scripted policies."""
    load_mujoco()
    try:
        from metaworld import policies
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ModuleNotFoundError as error:
        raise MissingDependency(f"Meta-World cannot be imported: {error}", hint=_PIP) from error
    return dict(ALL_V3_ENVIRONMENTS), policies


def missing_gl(error: BaseException) -> MissingDependency:
    backend = os.environ.get("MUJOCO_GL", "")
    return MissingDependency(f"no software OpenGL for MUJOCO_GL={backend}: {error}", hint=_APT)
