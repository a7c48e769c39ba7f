from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.core.errors import ParamsError
from components.core.params import load_params, workers


def test_the_project_s_own_params_are_valid(project: Path) -> None:
    params = load_params(project / "params.yaml")
    assert set(params.gate.vision_tasks) <= set(params.raw.tasks)
    assert params.evaluate.execute <= params.train.chunk


@pytest.mark.parametrize(
    ("section", "key", "value", "match"),
    [
        ("train", "learing_rate", 1.0, r"train\.learing_rate: Extra inputs"),
        ("train", "steps", "many", r"train\.steps: Input should be a valid integer"),
        ("train", "seeds", [1, 1], "train: Value error, seeds must be"),
        ("rollout", "canary_share", 1.5, r"rollout\.canary_share: Input should be less than 1"),
    ],
)
def test_a_wrong_number_is_named(
    project: Path, tmp_path: Path, section: str, key: str, value: object, match: str
) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw[section][key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ParamsError, match=match):
        load_params(tmp_path / "params.yaml")


def test_no_file_and_no_yaml_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="not YAML"):
        load_params(tmp_path / "params.yaml")


def test_workers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIPLINE_WORKERS", "3")
    assert workers() == 3
    monkeypatch.setenv("GRIPLINE_WORKERS", "")
    assert workers() >= 1
