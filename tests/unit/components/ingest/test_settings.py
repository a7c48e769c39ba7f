from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.core.params import Ingest
from components.core.spec import SAWYER_CELL
from components.ingest import settings
from components.ingest.executor import EXECUTOR, executor
from components.ingest.pool import Workers
from components.ingest.ray_pool import RayWorkers
from components.ingest.settings import build_settings, code_digest, dataset_fps


def test_the_rate_is_that_of_the_parameters_or_of_the_embodiment(params: Ingest) -> None:
    assert dataset_fps(params.model_copy(update={"fps": 7}), SAWYER_CELL) == 7
    assert dataset_fps(params.model_copy(update={"fps": None}), SAWYER_CELL) == 20


def test_all_but_the_split_counts(params: Ingest) -> None:
    base = build_settings(params, SAWYER_CELL)
    assert build_settings(params.model_copy(update={"fps": None}), SAWYER_CELL) == base
    for split in ({"val_share": 0.9}, {"split_seed": 9}, {"split_by": ("site",)}):
        assert build_settings(params.model_copy(update=split), SAWYER_CELL) == base
    video = params.video.model_copy(update={"crf": 1})
    changes = ({"fps": 10}, {"causal_actions": True}, {"max_misalignment_ms": 1.0}, {"video": video})
    others = [build_settings(params.model_copy(update=change), SAWYER_CELL) for change in changes]
    others.append(build_settings(params, replace(SAWYER_CELL, name="other")))
    assert base not in others
    assert json.loads(json.dumps(base)) == base


def test_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ingest/deep").mkdir(parents=True)
    (tmp_path / "formats").mkdir()
    (tmp_path / "ingest/settings.py").write_text("1")
    monkeypatch.setattr(settings, "__file__", str(tmp_path / "ingest/settings.py"))
    seen = {code_digest.__wrapped__()}
    for name in ("ingest/deep/a.py", "formats/m.yaml"):
        (tmp_path / name).write_text("1")
        seen.add(code_digest.__wrapped__())
    (tmp_path / "formats/m.yaml").write_text("2")
    seen.add(code_digest.__wrapped__())
    assert len(seen) == 4
    (tmp_path / "formats/README.md").write_text("words")
    assert code_digest.__wrapped__() in seen


def test_the_executor_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXECUTOR, raising=False)
    assert isinstance(executor(2), Workers)
    monkeypatch.setenv(EXECUTOR, "ray")
    assert isinstance(executor(2), RayWorkers)
    assert isinstance(executor(0), Workers)
    monkeypatch.setenv(EXECUTOR, "slurm")
    with pytest.raises(UsageError, match="GRIPLINE_EXECUTOR is 'slurm', expected processes or ray"):
        executor()
