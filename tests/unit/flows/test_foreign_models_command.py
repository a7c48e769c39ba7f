"""`gripline models import|export|inspect`: what it prints, and what its exit codes are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL
from components.core.stage import exit_code_of
from components.policy.checkpoint import save_policy
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.steps import Normalise, WordTokens
from flows.commands import foreign_models as command


def run(*arguments: object) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.add_to(app)
    app([*map(str, arguments)], standalone_mode=False)


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tokens = WordTokens((), 16, wordless=True)
    config = PolicyConfig("act-small", SAWYER_CELL, tokens.vocab_size, tokens.length, 4)
    torch.manual_seed(0)
    transforms = PolicyTransforms(SAWYER_CELL, Normalise((0.0,) * 4, (1.0,) * 4), tokens)
    save_policy(tmp_path / "ours", config.build(), config, transforms)
    return tmp_path / "ours"


def test_out_shown_and_in_again(ours: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "theirs"
    run("export", ours, "--format", "lerobot", "--out", theirs, "--json")
    assert json.loads(capfd.readouterr().out)["layout"] == "lerobot-act"
    run("inspect", theirs)
    assert "presets: act, act-small" in capfd.readouterr().out
    run("import", theirs, "--preset", "act-small", "--embodiment", "sawyer-cell")
    said = capfd.readouterr().out
    digest = json.loads((tmp_path / "bases/theirs/import.json").read_text())["digest"]
    assert f"start_from: {{path: bases/theirs, sha256: {digest}}}" in said
    run("import", theirs, "--preset", "act-small", "--embodiment", "sawyer-cell", "--out", tmp_path / "b", "--json")
    found = json.loads(capfd.readouterr().out)
    assert (found["imported"], found["digest"], found["missing"], found["unknown"]) == (True, digest, [], {})


def test_what_does_not_fit_is_told_whole(ours: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("export", ours, "--format", "lerobot", "--out", tmp_path / "theirs")
    capfd.readouterr()
    with pytest.raises(ContractError, match="misshapen") as refused:
        run("import", tmp_path / "theirs", "--preset", "act", "--embodiment", "sawyer-cell", "--json")
    assert exit_code_of(refused.value) == 3
    found = json.loads(capfd.readouterr().out)
    assert not found["imported"]
    assert len(found["misshapen"]) > 200
    assert not (tmp_path / "bases").exists()


def test_the_module_brings_no_torch() -> None:
    code = "import sys; import flows.commands.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
