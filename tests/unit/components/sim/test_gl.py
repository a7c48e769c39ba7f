from __future__ import annotations

import os
import subprocess
import sys

import pytest

_TRY = """
from components.core.errors import MissingDependency
from components.sim.cell import Cell
try:
    Cell("drawer-open")
except MissingDependency as error:
    print(error.exit_code, error)
"""


def _run(code: str, **environment: str) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    "environment",
    [
        # OSMesa refuses to load on another platform's PyOpenGL, as it does where its library is absent.
        {"PYOPENGL_PLATFORM": "egl"},
        {"MUJOCO_GL": "disable"},
        {"MUJOCO_GL": "nonsense"},
    ],
)
def test_without_software_gl_the_message_holds_the_command_that_installs_it(environment: dict[str, str]) -> None:
    said = _run(_TRY, **environment)
    assert said.startswith("4 no software OpenGL for MUJOCO_GL=")
    assert "apt-get install -y libosmesa6 libegl1 libgl1 libgl1-mesa-dri" in said


@pytest.mark.sim
def test_the_backend_is_chosen_where_nobody_chose_one_and_importing_chooses_nothing() -> None:
    code = """
import os, sys
import components.sim.cell, components.sim.expert, components.sim.rollout
print("mujoco" in sys.modules, os.environ.get("MUJOCO_GL"))
components.sim.cell.load_mujoco()
print(os.environ["MUJOCO_GL"], os.environ["LP_NUM_THREADS"])
"""
    assert _run(code, LP_NUM_THREADS="2").split() == ["False", "None", "osmesa", "2"]


@pytest.mark.sim
def test_a_backend_that_the_user_chose_is_kept() -> None:
    code = "import os; from components.sim.gl import load_mujoco; load_mujoco(); print(os.environ['MUJOCO_GL'])"
    assert _run(code, MUJOCO_GL="egl").split() == ["egl"]
