from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def gripline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", "models", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_catalogue_as_one_object(project: Path) -> None:
    done = gripline(project, "--json")
    assert done.returncode == 0, done.stderr
    families = {one["family"]: one for one in json.loads(done.stdout)["families"]}
    act = {preset["preset"]: preset for preset in families["act"]["presets"]}
    assert act["act"]["parameters"] == pytest.approx(act["act"]["published"]["parameters"], rel=0.02)
    assert act["act-small"]["needs"] == {"cameras": 1, "image_px": 32, "state": True, "instructions": False}
    assert families["oft"]["source"].startswith("Kim et al. 2025")


def test_everything_of_one(project: Path) -> None:
    done = gripline(project, "show", "oft-small")
    assert done.returncode == 0, done.stderr
    said = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert "trunk (LlamaModel)" in said["takes weights"]
    assert said["page"].strip() == "docs/models/oft.md"


def test_a_name_that_is_not_there_is_a_usage_error(project: Path) -> None:
    done = gripline(project, "show", "act-smal")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'act-small'?" in done.stderr


def test_asking_for_help_loads_no_torch(project: Path) -> None:
    code = (
        "import sys; from flows.cli import app\n"
        "try: app(['models', '--help'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
