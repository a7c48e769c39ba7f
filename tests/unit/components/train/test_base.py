from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.core.errors import ContractError, InputError
from components.core.files import read_json, write_json
from components.dataset.layout import ACTION, STATE
from components.dataset.statistics.merging import running_of_parts
from components.train.base import MEAN_STD, QUANTILES, read_base_statistics

SPREAD = {"q01": [-2.0] * 4, "q99": [2.0] * 4}


@pytest.fixture
def data(inputs):
    """Statistics of the training episodes: states are standard normal."""
    return running_of_parts(inputs.train.parts, [STATE, ACTION])


def _file(folder: Path, mean: list[float], std: list[float], **more: list[float]) -> Path:
    path = folder / "norm_stats.json"
    write_json(path, {"norm_stats": {"state": {"mean": mean, "std": std, **more}}})
    return path


def test_states_are_normalised_as_the_base_did(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    base = read_base_statistics(_file(tmp_path, [0.1] * 4, [1.1] * 4, **SPREAD), data, body)
    mean, std = base.pair(STATE, MEAN_STD, 4)
    assert mean.tolist() == [0.1] * 4
    assert std.tolist() == [1.1] * 4
    assert base.comparison.verdict == "fits"


def test_padding_of_a_base_for_wider_robots_is_left_out(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    base = read_base_statistics(_file(tmp_path, [0.1] * 4 + [0.0] * 3, [1.0] * 4 + [0.0] * 3), data, body)
    assert base.pair(STATE, MEAN_STD, 4)[0].tolist() == [0.1] * 4


@pytest.mark.parametrize(
    ("mean", "std", "found"), [([0.0] * 3, [1.0] * 3, "3 dimensions"), ([0.5] * 6, [1.0] * 6, "6 dimensions")]
)
def test_statistics_of_another_state_are_refused(inputs, data, tmp_path, mean, std, found):
    body = inputs.train.parts[0].dataset.embodiment
    with pytest.raises(ContractError, match=rf"observation.state has {found}, sawyer-cell has 4"):
        read_base_statistics(_file(tmp_path, mean, std), data, body)


def test_quantiles_stand_in_for_moments_where_they_are_asked_for(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    path = tmp_path / "stats.json"
    write_json(path, {STATE: SPREAD})
    base = read_base_statistics(path, data, body, QUANTILES)
    assert base.pair(STATE, QUANTILES, 4)[1].tolist() == [2.0] * 4
    with pytest.raises(ContractError, match="hold no q01 and q99 of 4 dimensions of action"):
        base.pair(ACTION, QUANTILES, 4)


def test_statistics_without_moments_are_refused(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    path = tmp_path / "stats.json"
    write_json(path, {STATE: SPREAD})
    with pytest.raises(ContractError, match=r"observation.state has no mean"):
        read_base_statistics(path, data, body)
    with pytest.raises(InputError, match="no such file"):
        read_base_statistics(tmp_path / "absent.json", data, body)


def test_the_report_says_where_the_data_are_elsewhere(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    mean = [0.0, 0.0, 0.0, 40.0]
    base = read_base_statistics(_file(tmp_path, mean, [1.0] * 4, q01=[-2, -2, -2, 38], q99=[2, 2, 2, 42]), data, body)
    base.write_report(tmp_path)
    report = read_json(tmp_path / "base_statistics.json")
    assert report["verdict"] == "unusable"
    verdicts = [one["verdict"] for one in report["features"][STATE]["dimensions"]]
    assert verdicts == ["fits", "fits", "fits", "unusable"]
    assert body.observation.state_names[3] in (tmp_path / "base_statistics.md").read_text()


def test_the_digest_is_of_what_the_file_says(inputs, data, tmp_path):
    body = inputs.train.parts[0].dataset.embodiment
    digests = []
    for folder, mean in (("one", [0.1] * 4), ("same", [0.1] * 4), ("other", [0.2] * 4)):
        (tmp_path / folder).mkdir()
        digests.append(read_base_statistics(_file(tmp_path / folder, mean, [1.0] * 4), data, body).digest)
    assert digests[0] == digests[1] != digests[2]
    assert np.unique(digests).size == 2
