from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import family
import pytest
from family import SMALL, mean_success, measured, settings_of, table
from family_runs import cost_of_a_step, params_of, steps_within
from hypothesis import given
from hypothesis import strategies as st

from components.core.files import read_json
from components.policy.catalogue.families import PRESETS

SETTINGS = settings_of("oft-small", "d" * 64, 5.0, 4, 16, 1e-3)
ANSWERS = {
    "train": {"steps": 120, "cpu_s": 299.7, "wall_s": 310.0, "error": 0.12345, "loss": 0.2, "parameters": 3_381_124},
    "export": {"parity": 1e-6, "nodes": 700},
    "answer": {"cpu_ms": 12.34, "wall_ms": 13.0},
    "rollouts": {"drawer-open": {"successes": 3, "n": 4}, "faucet-open": {"successes": 1, "n": 4}},
}


def result(preset: str, successes: int, **changed) -> family.Result:
    settings = settings_of(preset, "d" * 64, 5.0, 4, 16, 1e-3)
    rollouts = {"drawer-open": {"successes": successes, "n": 4}}
    return {"settings": settings, **ANSWERS, "rollouts": rollouts} | changed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The phases that were run; none of them does anything."""
    phases: list[str] = []

    def run_phase(phase: str, workspace: Path, folder: Path) -> CompletedProcess[str]:
        assert read_json(folder / "settings.json") == SETTINGS
        phases.append(phase)
        return CompletedProcess([], 0, f"some words\n{json.dumps(ANSWERS[phase])}\n", "")

    monkeypatch.setattr(family, "run_phase", run_phase)
    return phases


def test_a_preset_whose_result_is_there_is_not_run_again(asked, tmp_path):
    first = measured(SETTINGS, tmp_path, tmp_path / "one")
    assert first == {"settings": SETTINGS, **ANSWERS}
    assert asked == ["train", "export", "answer", "rollouts"]
    assert measured(SETTINGS, tmp_path, tmp_path / "one") == first
    assert len(asked) == 4


def test_what_an_ended_run_left_is_not_taken_up(asked, tmp_path):
    (tmp_path / "one" / "checkpoint").mkdir(parents=True)
    (tmp_path / "one" / "checkpoint" / "state").write_text("half")
    measured(SETTINGS, tmp_path, tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["result.json", "settings.json"]


def test_results_that_do_not_compare_are_refused(asked, tmp_path):
    measured(SETTINGS, tmp_path, tmp_path / "one")
    with pytest.raises(SystemExit, match=r"made with another minutes, rollouts: choose another --out"):
        measured(SETTINGS | {"minutes": 9.0, "rollouts": 5}, tmp_path, tmp_path / "one")


def test_a_phase_that_fails_is_told_and_tried_again_next_time(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(family, "run_phase", lambda *_: CompletedProcess([], 1, "", "out of memory"))
    assert measured(SETTINGS, tmp_path, tmp_path / "one") is None
    assert "oft-small: train failed\nout of memory" in capsys.readouterr().err
    assert not (tmp_path / "one" / "result.json").exists()


def test_the_table_begins_with_the_most_successful():
    lines = table([result("act-small", 1), result("oft-small", 4), result("gripline-tiny", 1)]).splitlines()
    assert (
        lines[0] == "5 minutes of training on one thread each, batches of 16, 4 rollouts a task; dataset dddddddddddd."
    )
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[4:]]
    assert names == ["`oft-small`", "`act-small`", "`gripline-tiny`"]
    assert lines[4] == "| `oft-small` | 3.38 M | 0.001 | 120 | 300 | 0.1235 | 4/4 | 1.00 | 12.3 |"


def test_a_task_that_one_never_saw_is_left_open():
    other = result("act-small", 1, rollouts={"handle-pull": {"successes": 2, "n": 4}})
    lines = table([result("oft-small", 4), other]).splitlines()
    assert lines[4].endswith("| 4/4 | - | 1.00 | 12.3 |")
    assert lines[5].endswith("| - | 2/4 | 0.50 | 12.3 |")
    assert mean_success(other) == 0.5


def test_the_first_steps_do_not_count_towards_the_cost():
    assert cost_of_a_step([0.0, 9.0, 18.0, 20.0, 22.0, 24.0]) == 2.0
    assert cost_of_a_step([1.0, 4.0]) == 3.0


@given(seconds=st.floats(0.01, 1e5), of_a_step=st.floats(1e-3, 1e3))
def test_the_time_is_used_up_and_not_exceeded_by_more_than_a_step(seconds, of_a_step):
    steps = steps_within(seconds, of_a_step)
    assert steps == 1 or steps * of_a_step <= seconds * (1 + 1e-9)
    assert (steps + 1) * of_a_step > seconds * (1 - 1e-9)


@pytest.mark.parametrize("preset", SMALL)
def test_every_preset_has_params_that_hold(preset):
    settings = settings_of(preset, "d" * 64, 5.0, 4, 16, 1e-3)
    params = params_of(settings, 40)
    assert (params.train.preset, params.train.steps, params.train.warmup_steps) == (preset, 40, 4)
    assert params.train.learning_rate == (PRESETS[preset].learning_rate or 1e-3)
    needs = PRESETS[preset].needs
    assert ("instructions" in params.train.unused) != needs.instructions
    assert params.evaluate.rollouts_per_task == 4


def test_a_hint_of_the_card_comes_before_the_rate_of_params(monkeypatch):
    monkeypatch.setitem(PRESETS, "oft-small", replace(PRESETS["oft-small"], learning_rate=3e-4))
    assert settings_of("oft-small", "", 1.0, 1, 8, 1e-3)["learning_rate"] == 3e-4
