from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment
from components.transforms.chain import PolicyTransforms

LIMITS_LOW, LIMITS_HIGH = (-0.1, -2.0, 0.3), (0.1, 5.0, 0.7)
ODD = Embodiment(
    "odd",
    SAWYER_CELL.observation,
    ActionSpec(
        groups=(
            ActionGroup("arm", ("a", "b"), "m", "base", "absolute", LIMITS_LOW[:2], LIMITS_HIGH[:2]),
            ActionGroup("gripper", ("c",), "m", "gripper", "absolute", LIMITS_LOW[2:], LIMITS_HIGH[2:]),
        ),
        rate_hz=10.0,
        controller="position",
    ),
)


def chain(embodiment: Embodiment = SAWYER_CELL) -> PolicyTransforms:
    return PolicyTransforms.fit(embodiment, [0.0, 0.6, 0.2, 1.0], [0.1, 0.1, 0.1, 0.0], ["open the drawer"], 8)


def images(batch: int = 2, px: int = 96) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(batch)
    return {name: rng.integers(0, 256, (batch, px, px, 3), dtype=np.uint8) for name in ("wrist", "fixed")}


def test_inputs_have_the_shapes_and_types_of_the_graph():
    found = chain().inputs(images(), np.full((2, 4), 0.6), ["open the drawer", "open it"])
    assert {name: (value.dtype.name, value.shape) for name, value in found.items()} == {
        "images": ("uint8", (2, 2, 96, 96, 3)),
        "state": ("float32", (2, 4)),
        "tokens": ("int64", (2, 8)),
    }
    np.testing.assert_array_equal(found["images"][:, 0], images()["fixed"])
    np.testing.assert_allclose(found["state"][0], [6.0, 0.0, 4.0, -400.0], rtol=1e-5)
    assert chain().vocab_size == 5
    assert chain().text_len == 8


def test_inputs_resize_what_a_camera_of_another_size_sends():
    assert chain().inputs(images(px=48), np.zeros((2, 4)), ["open"] * 2)["images"].shape == (2, 2, 96, 96, 3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"wrist": None}, "no image of camera 'wrist'; there are fixed"),
        ({"depth": np.zeros((2, 96, 96, 3), np.uint8)}, "camera 'depth' is unknown; the policy takes fixed, wrist"),
        ({"wrist": np.zeros((2, 96, 96, 3), np.float32)}, r"'wrist' gives float32 .* expected uint8 \[2, H, W, 3\]"),
        ({"wrist": np.zeros((1, 96, 96, 3), np.uint8)}, r"'wrist' gives uint8 \[1, 96, 96, 3\]"),
        ({"wrist": np.zeros((2, 96, 96), np.uint8)}, r"'wrist' gives uint8 \[2, 96, 96\]"),
        ({"wrist": np.zeros((2, 0, 96, 3), np.uint8)}, r"'wrist' gives uint8 \[2, 0, 96, 3\]"),
    ],
)
def test_images_that_do_not_fit_are_named(change: dict, match: str):
    given_images = {name: image for name, image in (images() | change).items() if image is not None}
    with pytest.raises(ContractError, match=match):
        chain().inputs(given_images, np.zeros((2, 4)), ["open"] * 2)


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (np.zeros((2, 3)), r"state has shape \[2, 3\], expected \[2, 4\]"),
        (np.array([[0, 0, np.nan, 0]] * 2), "state hand_z is nan"),
        (np.array([[0, 1e300, 0, 0]] * 2), "normalised state hand_y is inf"),
    ],
)
def test_state_that_does_not_fit_is_named(state: np.ndarray, match: str):
    with pytest.raises(ContractError, match=match):
        chain().inputs(images(), state, ["open"] * 2)


any_float = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(actions=hnp.arrays(np.float32, (2, 3, 3), elements=any_float))
def test_no_output_ever_leaves_the_action_limits(actions: np.ndarray):
    transforms = chain(ODD)
    if not np.isfinite(actions).all():
        with pytest.raises(ContractError, match=r"action [abc] is (nan|-?inf)"):
            transforms.outputs(actions)
        return
    out = transforms.outputs(actions)
    assert out.dtype == np.float32
    assert out.shape == actions.shape
    assert (out.astype(np.float64) >= LIMITS_LOW).all()
    assert (out.astype(np.float64) <= LIMITS_HIGH).all()


@given(share=hnp.arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_targets_and_outputs_are_inverse_within_the_limits(share: np.ndarray):
    actions = np.asarray(LIMITS_LOW) + share * (np.asarray(LIMITS_HIGH) - np.asarray(LIMITS_LOW))
    targets = chain(ODD).normalise_actions(actions)
    assert np.abs(targets).max() <= 1.0
    np.testing.assert_allclose(chain(ODD).outputs(targets[None])[0], actions, atol=1e-5)


@given(actions=hnp.arrays(np.float64, (4, 3), elements=st.floats(-1e30, 1e30)))
def test_no_target_leaves_minus_one_to_one(actions: np.ndarray):
    assert np.abs(chain(ODD).normalise_actions(actions)).max() <= 1.0


def test_actions_of_another_width_are_refused():
    with pytest.raises(ContractError, match=r"shape \[1, 8, 3\], the last axis must be 4"):
        chain().outputs(np.zeros((1, 8, 3), np.float32))


def test_a_policy_of_actions_relative_to_a_chunk_is_refused():
    arm, gripper = ODD.action.groups
    relative = replace(arm, representation="chunk_relative")
    with pytest.raises(ContractError, match="group 'arm': representation is 'chunk_relative', a policy gives absolute"):
        chain(replace(ODD, action=replace(ODD.action, groups=(relative, gripper))))


def test_fit_refuses_instructions_and_statistics_that_do_not_fit():
    with pytest.raises(ContractError, match="3 words, the policy takes 2"):
        PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, ["open the drawer"], 2)
    with pytest.raises(ContractError, match="statistics of 3 state dimensions, sawyer-cell has 4"):
        PolicyTransforms.fit(SAWYER_CELL, [0.0] * 3, [1.0] * 3, ["open"])


def test_the_text_is_as_long_as_the_longest_instruction_needs(tmp_path: Path):
    short, long = (PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, ["go " * words]) for words in (3, 20))
    assert (short.text_len, long.text_len) == (16, 24)
    with pytest.raises(ContractError, match=r"instruction of 17 words, the policy takes 16: 'go go"):
        short.tokens.apply(["go " * 17])


def test_a_chain_that_reads_nothing_is_kept_as_such(tmp_path: Path):
    made = PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, [""], wordless=True)
    made.save(tmp_path)
    loaded = PolicyTransforms.load(tmp_path)
    assert loaded == made
    assert (loaded.tokens.apply([""]) == 0).all()
    chain().save(tmp_path)
    assert "wordless" not in (tmp_path / "tokenizer.json").read_text()


def test_limits_without_a_width_are_refused_at_once():
    group = replace(SAWYER_CELL.action.groups[1], low=(1.0,))
    broken = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=(group,)))
    with pytest.raises(ContractError, match="low must be below high"):
        chain(broken)


def test_save_and_load_give_the_same_chain_and_the_same_bytes(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    chain(ODD).save(first)
    loaded = PolicyTransforms.load(first)
    assert loaded == chain(ODD)
    loaded.save(second)
    names = ["stats.safetensors", "tokenizer.json", "transforms.json"]
    assert sorted(path.name for path in first.iterdir()) == names
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]


@pytest.mark.parametrize("name", ["stats.safetensors", "tokenizer.json", "transforms.json"])
def test_load_names_the_file_that_is_missing_or_damaged(tmp_path: Path, name: str):
    chain().save(tmp_path)
    (tmp_path / name).write_bytes(b"\x00\x01")
    with pytest.raises(ContractError, match=f"{name}: not"):
        PolicyTransforms.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ContractError, match=f"{name}: no such file"):
        PolicyTransforms.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("transforms.json", '"version": 1', '"version": 9', "version 9, expected 1"),
        ("transforms.json", '"state_epsilon"', '"other"', "'state_epsilon' is missing"),
        ("tokenizer.json", '"words"', '"bpe"', "unknown kind of tokenizer"),
    ],
)
def test_load_refuses_what_it_does_not_understand(tmp_path: Path, name: str, old: str, new: str, match: str):
    chain().save(tmp_path)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    with pytest.raises(ContractError, match=match):
        PolicyTransforms.load(tmp_path)
