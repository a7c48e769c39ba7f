from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from components.bundle.warmup import Warmup, read_warmup, write_warmup
from components.core.errors import BundleError


def example() -> Warmup:
    rng = np.random.default_rng(0)
    return Warmup(
        rng.integers(0, 256, (2, 2, 8, 8, 3), dtype=np.uint8),
        rng.normal(size=(2, 4)).astype(np.float32),
        ("öffne die Schublade", "pull"),
        rng.normal(size=(2, 8, 4)).astype(np.float32),
    )


def test_an_example_comes_back_as_it_was_written(tmp_path: Path):
    write_warmup(tmp_path, example())
    found = read_warmup(tmp_path)
    assert found.instructions == example().instructions
    assert len(found) == 2
    for name in ("images", "state", "actions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(example(), name))
    np.testing.assert_array_equal(found.by_camera(("fixed", "wrist"))["wrist"], example().images[:, 1])


@pytest.mark.parametrize(
    ("name", "tensor", "match"),
    [
        ("state", None, "'state' is missing, expected float32 of 2 axes"),
        ("state", np.zeros((2, 4)), "'state' is float64"),
        ("images", np.zeros((2, 8, 8, 3), np.uint8), "'images' is uint8 .*expected uint8 of 5 axes"),
        ("actions", np.zeros((3, 8, 4), np.float32), "different or zero length"),
    ],
)
def test_a_damaged_example_is_refused_by_tensor(tmp_path: Path, name: str, tensor: np.ndarray | None, match: str):
    write_warmup(tmp_path, example())
    tensors = load((tmp_path / "warmup.safetensors").read_bytes())
    tensors.pop(name)
    if tensor is not None:
        tensors[name] = tensor
    (tmp_path / "warmup.safetensors").write_bytes(save(tensors))
    with pytest.raises(BundleError, match=match):
        read_warmup(tmp_path)


def test_what_is_no_safetensors_is_refused(tmp_path: Path):
    (tmp_path / "warmup.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="not safetensors"):
        read_warmup(tmp_path)
