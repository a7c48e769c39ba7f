"""`dvc plots` and `dvc metrics` of the real dvc.yaml, on outputs made by hand in a repository of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from components.train.action_errors import errors_csv


def make(root: Path, loss: float, colour: tuple[int, int, int]) -> None:
    folder = root / "data" / "train"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "looks").mkdir(parents=True)
    rows = [f"{step},{name},{loss / step},{loss},{loss}" for name in ("seed-1", "blind") for step in (250, 500)]
    (folder / "loss.csv").write_text("\n".join(["step,name,loss,val_loss,val_action_error", *rows]) + "\n")
    entry = {"name": "dx", "unit": "m", "error": [loss] * 11, "normalised": [0.1] * 11}
    (folder / "action_errors.csv").write_text(errors_csv({"seed-1": {"dimensions": [entry]}}))
    (folder / "metrics.json").write_text(json.dumps({"seed-1": {"step": 500, "val_loss": loss}}))
    for path in (folder / "curves.png", folder / "looks" / "seed-1.png"):
        Image.new("RGB", (8, 8), colour).save(path)
    (root / "data" / "evaluation").mkdir(exist_ok=True)
    (root / "data" / "evaluation" / "success.csv").write_text(f"policy,task,rate\nseed-1,drawer,{loss}\n")


@pytest.fixture(scope="module")
def repository(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits, whose outputs lie in DVC's cache."""
    root = tmp_path_factory.mktemp("plots")
    settings = yaml.safe_load((project / "dvc.yaml").read_text())
    # The stages need the whole pipeline; their outputs are tracked as they lie.
    del settings["stages"]
    settings["metrics"] = ["data/train/metrics.json"]
    (root / "dvc.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    git(root, "init", "-q")
    dvc(root, "init", "-q")
    shutil.copytree(project / ".dvc" / "plots", root / ".dvc" / "plots", dirs_exist_ok=True)
    for number, colour in ((1.0, (255, 0, 0)), (2.0, (0, 0, 255))):
        make(root, number, colour)
        dvc(root, "add", "-q", "data/train", "data/evaluation")
        git(root, "add", "-A")
        git(root, "commit", "-qm", f"loss {number}")
    return root


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return done.stdout


def specs(page: Path) -> dict[str, dict]:
    """The charts of a page by title."""
    found = [json.loads(text) for text in re.findall(r"var spec = (\{.*\});\n", page.read_text())]
    titles = [spec["title"]["text"] if isinstance(spec["title"], dict) else spec["title"] for spec in found]
    return dict(zip(titles, found, strict=True))


def test_every_plot_of_dvc_yaml_is_drawn_with_a_line_a_job(repository: Path) -> None:
    dvc(repository, "plots", "show", "-o", "shown")
    charts = specs(repository / "shown" / "index.html")
    losses = ("training loss", "held-out loss", "held-out action error")
    assert set(charts) == {*losses, "action error by dimension", "Success in closed loop"}
    for title in losses:
        encoding = charts[title]["encoding"]
        assert encoding["color"]["field"] == "name"
        values = charts[title]["data"]["values"]
        assert {row["name"] for row in values} == {"seed-1", "blind"}
        assert all({encoding["x"]["field"], encoding["y"]["field"]} <= set(row) for row in values)
    assert "<DVC_METRIC" not in (repository / "shown" / "index.html").read_text()
    heat = charts["action error by dimension"]["data"]["values"]
    assert [row["horizon"] for row in heat] == [str(ahead) for ahead in range(11)]
    pictures = {path.name for path in (repository / "shown" / "static").iterdir()}
    assert pictures == {"workspace_data_train_curves.png", "workspace_data_train_looks_seed-1.png"}


def test_revisions_are_drawn_side_by_side(repository: Path) -> None:
    dvc(repository, "plots", "diff", "HEAD~1", "HEAD", "-o", "compared")
    chart = specs(repository / "compared" / "index.html")["held-out loss"]
    assert {(row["rev"], row["val_loss"]) for row in chart["data"]["values"]} == {("HEAD~1", "1.0"), ("HEAD", "2.0")}
    shown = {path.name: path for path in (repository / "compared" / "static").iterdir()}
    for revision, colour in (("HEAD~1", (255, 0, 0)), ("HEAD", (0, 0, 255))):
        image = Image.open(shown[f"{revision}_data_train_curves.png"]).convert("RGB")
        assert image.getpixel((4, 4)) == colour


def test_metrics_of_revisions_are_compared(repository: Path) -> None:
    found = json.loads(dvc(repository, "metrics", "diff", "HEAD~1", "HEAD", "--json"))
    assert found["data/train/metrics.json"]["seed-1.val_loss"] == {"old": 1.0, "new": 2.0, "diff": 1.0}
