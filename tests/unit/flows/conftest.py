"""A small DVC workspace with the stages of the real one, each a line of Python."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.core.workspace import Workspace
from flows.pipeline import STAGES

_COPY = (
    "python -c \"import pathlib,sys; pathlib.Path(sys.argv[2]).write_text(pathlib.Path(sys.argv[1]).read_text()+'.')\""
)


@pytest.fixture
def small(tmp_path: Path) -> Workspace:
    """Seven stages in a row; each copies the output of the one before and adds a dot."""
    names = ["start", *STAGES]
    stages = {
        name: {"cmd": f"{_COPY} {before} {name}", "deps": [before], "outs": [name]}
        for before, name in itertools.pairwise(names)
    }
    stages["train"]["params"] = ["train"]
    (tmp_path / "start").write_text("x")
    (tmp_path / "params.yaml").write_text("train: {steps: 1}\n")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    return Workspace(tmp_path)
