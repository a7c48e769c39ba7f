"""What is drawn is looked at as pixels: sizes, colours that must be there, and that the same gives the same bytes."""

from __future__ import annotations

import csv
import io
import logging

import numpy as np
import pytest
from PIL import Image

from components.core.files import read_json, read_lines
from components.core.spec import SAWYER_CELL
from components.train import looking
from components.train.action_errors import ActionErrors
from components.train.curves import draw_curves, series
from components.train.drawing import JOBS, PREDICTED, RECORDED
from components.train.error_page import draw_errors
from components.train.jobs import Job
from components.train.overview import write_overview
from components.train.sample_page import dimensions_shown, draw_samples
from components.train.samples import Samples, Shown
from components.train.train import train_one


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def count(png: bytes, colour: str) -> int:
    """Pixels of about this colour: thin lines are blended with the paper."""
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return int((np.abs(pixels(png) - wanted) < 60).all(axis=2).sum())


def samples_of(dims: int, *, episodes: int = 2) -> tuple[Samples, list[np.ndarray]]:
    """Recorded actions of 0, predicted ones of 1; the images are magenta."""
    images = np.full((2, 1, 8, 8, 3), (255, 0, 255), np.uint8)
    shown = [Shown(f"task {number}", np.zeros((20, dims)), (0, 12), images) for number in range(episodes)]
    return Samples(tuple(shown), ("front",), {}), [np.ones((2, 4, dims))] * episodes


def test_a_page_of_samples_shows_pictures_recorded_and_predicted_actions():
    samples, chunks = samples_of(4)
    page = draw_samples(samples, chunks, SAWYER_CELL, title="seed-1, step 5")
    assert page == draw_samples(samples, chunks, SAWYER_CELL, title="seed-1, step 5")
    assert count(page, "#ff00ff") > 1000
    assert count(page, RECORDED) > 500
    assert count(page, PREDICTED) > 200
    one = draw_samples(*samples_of(4, episodes=1), SAWYER_CELL, title="seed-1, step 5")
    assert len(pixels(one)) < len(pixels(page))


def test_of_many_dimensions_those_furthest_from_what_was_recorded_are_shown():
    samples, chunks = samples_of(20)
    chunks = [chunk * np.where(np.arange(20) < 4, 0.0, 1.0) for chunk in chunks]
    assert dimensions_shown(samples, chunks) == list(range(4, 20))


def test_the_heat_map_is_darkest_where_the_error_is_largest(inputs):
    errors = ActionErrors(inputs.transforms, 8)
    predicted = np.zeros((1, 8, 4))
    predicted[0, :, 1] = np.linspace(0, 0.9, 8)
    errors.update(predicted, np.zeros((1, 8, 4)), np.ones((1, 8)))
    page = draw_errors(errors.report(9), title="seed-1")
    image = pixels(page)
    dark = (image == (8, 48, 107)).all(axis=2)
    assert dark.sum() > 300
    cells = dark[:, : int(0.9 * image.shape[1])]
    rows, columns = np.nonzero(cells)
    # The last step of the second dimension, and nowhere else.
    assert np.ptp(columns) < image.shape[1] / 10
    assert np.ptp(rows) < image.shape[0] / 4


def test_a_heat_map_without_numbers_is_drawn():
    nothing = {"name": "x", "unit": "m", "error": [None], "normalised": [None]}
    assert pixels(draw_errors({"dimensions": [nothing]}, title="")).shape[2] == 3


LINES = [
    {"step": 25, "loss": 4.0, "learning_rate": 0.1, "grad_norm": 2.0},
    {"step": 50, "loss": float("nan"), "learning_rate": 0.05, "grad_norm": 1.0},
    {"step": 50, "loss": 9.0, "val_loss": 3.0},
]


def test_curves_leave_out_what_is_not_finite_and_the_loss_of_validations():
    np.testing.assert_array_equal(series(LINES, "loss"), [[25.0, 4.0]])
    np.testing.assert_array_equal(series(LINES, "val_loss"), [[50.0, 3.0]])
    assert series(LINES, "val_action_error").shape == (0, 2)


def test_every_job_has_a_curve_and_panels_without_numbers_are_left_out():
    both = {"seed-1": LINES, "blind": [{**line, "learning_rate": 0.2} for line in LINES]}
    page = draw_curves(both)
    assert page == draw_curves(both)
    assert count(page, JOBS[0]) > 100
    assert count(page, JOBS[1]) > 100
    assert len(pixels(draw_curves({"untrained": [{"step": 0, "loss": 1.0, "val_loss": 1.0}]}))) < len(pixels(page))


def test_a_job_leaves_errors_and_pictures_of_half_way_and_of_its_end(inputs, params, tmp_path):
    often = params.model_copy(update={"checkpoints": params.checkpoints.model_copy(update={"every": 2})})
    train_one(Job("seed-1", 1, 6), inputs, often, tmp_path / "seed-1")
    found = sorted(path.name for path in (tmp_path / "seed-1" / "looks").iterdir())
    assert found == ["action_errors.png", "predictions-000004.png", "predictions-000006.png"]
    report = read_json(tmp_path / "seed-1" / "action_errors.json")
    assert report["step"] == 6
    assert report["windows"] == [60, 54, 48, 42], "six episodes of ten frames, and what lies past their ends"
    assert [entry["name"] for entry in report["dimensions"]] == ["dx", "dy", "dz", "effort"]
    assert report["dimensions"][3]["agreement"] is not None
    write_overview(tmp_path, ["seed-1", "of-another-trainer"])
    with (tmp_path / "action_errors.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    last = read_lines(tmp_path / "seed-1" / "metrics.jsonl")[-1]
    windows = np.array([report["windows"][int(row["horizon"])] for row in rows])
    mean = np.average([float(row["normalised"]) for row in rows], weights=windows)
    assert mean == pytest.approx(last["val_action_error"], rel=1e-4)
    assert pixels((tmp_path / "curves.png").read_bytes()).shape[1] > 500


def test_a_picture_that_fails_costs_a_warning_and_not_the_training(inputs, params, tmp_path, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise OSError("no font")

    monkeypatch.setattr(looking, "pick_samples", fail)
    with caplog.at_level(logging.WARNING, "components.train"):
        done = train_one(Job("seed-1", 1, 2), inputs, params, tmp_path)
    assert done.validations
    assert "seed-1: a picture is left out: OSError: no font" in caplog.text


@pytest.mark.parametrize("names", [[], ["of-another-trainer"]])
def test_of_no_metrics_nothing_is_drawn(tmp_path, names):
    write_overview(tmp_path, names)
    assert not list(tmp_path.iterdir())
