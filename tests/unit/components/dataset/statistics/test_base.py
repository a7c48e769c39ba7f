from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from components.core.errors import InputError
from components.core.spec import SAWYER_CELL
from components.dataset.reader import Dataset
from components.dataset.statistics.base import read_base
from components.transforms.chain import PolicyTransforms

STATE, ACTION = "observation.state", "action"


def written(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def openpi(width: int = 3, **changes: Any) -> dict[str, Any]:
    one = {"mean": [0.5] * width, "std": [2.0] * width, "q01": [-3.0] * width, "q99": [4.0] * width}
    return {"norm_stats": {"state": one, "actions": one | {"q01": None, "q99": None} | changes}}


@pytest.mark.parametrize("name", ["norm_stats.json", "assets/trossen/norm_stats.json"])
def test_openpi(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / name, openpi())
    for path in (file, tmp_path):
        base = read_base(path)
        assert list(base) == [STATE, ACTION]
        assert base[STATE]["q99"].tolist() == [4.0] * 3
        assert list(base[ACTION]) == ["mean", "std"]


def test_lerobot_statistics_of_a_dataset(tree: Path) -> None:
    base = read_base(tree)
    for key, stats in Dataset.open(tree).stats.items():
        assert "count" not in base[key]
        np.testing.assert_array_equal(base[key]["q10"], stats["q10"].ravel())
    assert list(read_base(tree / "meta/stats.json")) == list(base)


def test_lerobot_normaliser_of_a_policy(tmp_path: Path) -> None:
    arrays = {
        f"{key}.{stat}": np.full(2, value, np.float32)
        for key in (STATE, ACTION)
        for stat, value in (("mean", 1.5), ("std", 0.5), ("count", 7))
    }
    save_file(arrays, tmp_path / "policy_preprocessor_step_5_normalizer_processor.safetensors")
    base = read_base(tmp_path)
    assert base.keys() == {STATE, ACTION}
    assert {name: values.tolist() for name, values in base[ACTION].items()} == {"mean": [1.5, 1.5], "std": [0.5, 0.5]}


def test_a_bundle_of_ours_knows_its_state_and_the_limits_of_its_actions(tmp_path: Path) -> None:
    PolicyTransforms.fit(SAWYER_CELL, [0.1, 0.2, 0.3, 0.4], [1, 1, 2, 2], ["open it"]).save(tmp_path)
    for path in (tmp_path, tmp_path / "stats.safetensors", tmp_path / "transforms.json"):
        base = read_base(path)
        assert base[STATE]["mean"].tolist() == [0.1, 0.2, 0.3, 0.4]
        assert base[ACTION]["max"].tolist() == [1.0] * 4
    (tmp_path / "stats.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"stats.safetensors: not safetensors"):
        read_base(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "not statistics by feature"),
        ({"action": [1, 2]}, "not statistics by feature"),
        ({}, "no statistics in it"),
        ({"action": {"loss": [1.0]}}, "no statistics in it"),
        (openpi(std=[1.0, -1.0, 1.0]), "action: std is below 0"),
        (openpi(std=[1.0, 1.0]), "action: different widths: mean 3, std 2"),
        (openpi(mean=[1.0, float("nan"), 1.0]), "action: mean holds NaN"),
        (openpi(mean=["a", "b", "c"]), "action: mean is no list of numbers"),
        (openpi(mean=[[1.0], [1.0, 2.0]]), "action: mean is no list of numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_base(written(tmp_path / "norm_stats.json", value))


def test_files_that_are_not_there_or_not_readable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no statistics below it"):
        read_base(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_base(tmp_path / "stats.json")
    for name in ("a", "b"):
        written(tmp_path / f"assets/{name}/norm_stats.json", openpi())
    with pytest.raises(InputError, match=r"several statistics: assets/a/norm_stats.json, assets/b.*Give one of these"):
        read_base(tmp_path)
    (tmp_path / "x.json").write_bytes(b"\xff{")
    (tmp_path / "x.safetensors").write_bytes(b"xx")
    for name, message in (("x.json", "not JSON"), ("x.safetensors", "not safetensors")):
        with pytest.raises(InputError, match=message):
            read_base(tmp_path / name)


def test_lerobot_skips_the_unnormaliser_beside_it(tmp_path: Path) -> None:
    for name, value in (("pre", 1.5), ("post", 9.0)):
        kind = "normalizer" if name == "pre" else "unnormalizer"
        arrays = {f"{ACTION}.mean": np.full(2, value, np.float32)}
        save_file(arrays, tmp_path / f"policy_{name}processor_step_0_{kind}_processor.safetensors")
    assert read_base(tmp_path)[ACTION]["mean"].tolist() == [1.5, 1.5]


def test_lerobot_statistics_that_were_buffers_among_the_weights(tmp_path: Path) -> None:
    arrays = {
        "model.head.weight": np.ones((3, 2), np.float32),
        "normalize_inputs.buffer_observation_state.mean": np.full(2, 1.0, np.float32),
        "normalize_inputs.buffer_observation_state.std": np.full(2, 2.0, np.float32),
        "unnormalize_outputs.buffer_action.min": np.full(3, -1.0, np.float32),
        "unnormalize_outputs.buffer_action.max": np.full(3, 1.0, np.float32),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    base = read_base(tmp_path)
    assert {key: sorted(values) for key, values in base.items()} == {STATE: ["mean", "std"], ACTION: ["max", "min"]}
    assert base[STATE]["std"].tolist() == [2.0, 2.0]


def openvla(**changes: Any) -> dict[str, Any]:
    action = {"mean": [0.1, 0.5], "std": [0.2, 0.4], "q01": [-0.6, 0.0], "q99": [0.7, 1.0], "mask": [True, False]}
    return {"action": action | changes, "proprio": {"q01": [0.0], "q99": [2.0]}, "num_transitions": 7}


def test_openvla(tmp_path: Path) -> None:
    written(tmp_path / "dataset_statistics.json", {"bridge_orig": openvla()})
    base = read_base(tmp_path)
    assert base[STATE]["q99"].tolist() == [2.0]
    # The gripper is not scaled: what goes from -1 .. 1 to -1 .. 1 stays as it is.
    assert (base[ACTION]["q01"].tolist(), base[ACTION]["q99"].tolist()) == ([-0.6, -1.0], [0.7, 1.0])
    assert base[ACTION]["mean"].tolist() == [0.1, 0.5]


def test_openvla_of_several_datasets_and_with_a_mask_that_does_not_fit(tmp_path: Path) -> None:
    file = written(tmp_path / "dataset_statistics.json", {"bridge": openvla(), "kuka": openvla(q01=[-3.0, 0.0])})
    assert read_base(file, "kuka")[ACTION]["q01"].tolist() == [-3.0, -1.0]
    with pytest.raises(InputError, match=r"statistics of 2 datasets. Name one of bridge, kuka"):
        read_base(file)
    with pytest.raises(InputError, match=r"no statistics of 'fractal'. Name one of bridge, kuka"):
        read_base(file, "fractal")
    written(file, {"bridge": openvla(mask=[True])})
    with pytest.raises(InputError, match="bridge: mask and q01 of the actions differ in length"):
        read_base(file)
