from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import RecordError, StateError
from components.train.checkpoint_io import (
    STATE_NAME,
    TENSORS_NAME,
    FolderCheckpointIO,
    read_state,
    require_whole,
    write_state,
)
from components.train.state_tree import decode, encode

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool)
shapes = st.lists(st.integers(0, 3), max_size=3)
tensors = st.builds(
    lambda shape, dtype, seed: (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 9).to(dtype),
    shapes,
    st.sampled_from(DTYPES),
    st.integers(0, 99),
)
arrays = st.builds(
    lambda shape, dtype: np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype),
    shapes,
    st.sampled_from(["<u4", "<u8", "<i8", "<f8", "?"]),
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
leaves = plain | tensors | arrays | st.sampled_from(DTYPES) | st.builds(np.float64, st.floats())
keys = st.text(max_size=3) | st.integers(0, 9)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(left, right) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and left.shape == right.shape and left.equal(right)
    if isinstance(left, np.ndarray | np.generic):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or (left != left and right != right)


@settings(max_examples=200, deadline=None)
@given(trees)
def test_any_state_comes_back_as_it_was(tree):
    encoded, kept = encode(tree)
    assert same(decode(json.loads(json.dumps(encoded, allow_nan=False)), kept), tree)


def test_a_folder_holds_what_was_written(tmp_path):
    generator = np.random.default_rng(3)
    value = {
        "weights": {"a": torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3), "__metadata__": torch.zeros(0)},
        "optimizer": {"state": {0: {"step": torch.tensor(4.0)}}, "betas": (0.9, 0.999)},
        "rng": {"torch": torch.get_rng_state(), "numpy": generator.bit_generator.state, "old": np.random.get_state()},
        "best": float("inf"),
    }
    FolderCheckpointIO().save_checkpoint(value, tmp_path / "step-000004")
    assert same(FolderCheckpointIO().load_checkpoint(tmp_path / "step-000004"), value)
    assert sorted(path.name for path in (tmp_path / "step-000004").iterdir()) == [STATE_NAME, TENSORS_NAME]
    assert [path.name for path in tmp_path.iterdir()] == ["step-000004"]


def test_shared_memory_and_shared_names_are_kept_apart(tmp_path):
    whole = torch.arange(6.0)
    write_state(tmp_path / "s", {"tied": [whole, whole, whole[:3]], 1: torch.ones(1), "1": torch.zeros(1)})
    back = read_state(tmp_path / "s")
    assert same(back["tied"], [whole, whole, whole[:3]])
    assert (back[1].item(), back["1"].item()) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [{"b": object()}]}, "/a/0/b: a object is neither"),
        ({"f": print}, "/f: a builtin_function_or_method is neither"),
        ({"s": {1, 2}}, "/s: a set is neither"),
        ({"o": np.array([None])}, "/o: a ndarray is neither"),
        ({"x": {(1, 2): 3}}, "a key of /x: a tuple is neither"),
        ({"t": torch.eye(2).to_sparse()}, "/t: a torch.float32 tensor of layout torch.sparse_coo cannot be kept"),
    ],
)
def test_what_is_neither_tensor_nor_json_is_named_by_its_place(tmp_path, value, where):
    with pytest.raises(StateError, match=where):
        write_state(tmp_path / "state", value)
    assert not list(tmp_path.iterdir()), "nothing half-written"


def _cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (STATE_NAME, lambda path: path.unlink()),
        (TENSORS_NAME, lambda path: path.unlink()),
        (STATE_NAME, _cut),
        (TENSORS_NAME, _cut),
        (STATE_NAME, lambda path: path.write_text("{}")),
        (TENSORS_NAME, lambda path: path.write_bytes(b"")),
    ],
)
def test_a_damaged_folder_is_a_clear_error(tmp_path, name, damage):
    folder = tmp_path / "step-000002"
    write_state(folder, {"a": torch.ones(3), "b": 1})
    require_whole(folder)
    damage(folder / name)
    for read in (read_state, require_whole):
        with pytest.raises(
            RecordError, match=r"step-000002: not a whole state of a training run: .* Remove the folder"
        ):
            read(folder)


def test_a_tree_that_names_a_tensor_that_is_not_there_is_damaged(tmp_path):
    write_state(tmp_path / "one", {"a": torch.ones(3)})
    write_state(tmp_path / "two", {"b": torch.ones(3)})
    (tmp_path / "two" / STATE_NAME).replace(tmp_path / "one" / STATE_NAME)
    with pytest.raises(RecordError, match="not a whole state"):
        read_state(tmp_path / "one")


def test_a_folder_is_replaced_whole(tmp_path):
    for number in (1, 2):
        write_state(tmp_path / "s", {"n": number})
    assert read_state(tmp_path / "s") == {"n": 2}
    FolderCheckpointIO().remove_checkpoint(tmp_path / "s")
    assert not list(tmp_path.iterdir())
