"""The names in the files, and the mapping that gives the streams of the dataset back."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.convert import hdf5_files, mcap_files, rlds_files
from components.convert.convert import convert
from components.convert.mcap_files import _epoch_ns
from components.convert.options import batches
from components.convert.pictures import encoded
from components.convert.plan import grouped
from components.core.spec import ActionGroup, Embodiment, StateGroup
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import parts_of
from components.formats.images import decode_depth, decode_image
from components.formats.registry import read

NAMES = {"hdf5": hdf5_files.NAMES, "rlds": rlds_files.NAMES, "mcap": mcap_files.NAMES}
# Feature keys, cameras and time in each format.
SOURCES = {
    "hdf5": "actions obs/state obs/joints control_source obs/wrist_image obs/front_depth",
    "rlds": "action observation/state observation/joints control_source observation/wrist observation/front_depth",
    "mcap": "/action /observation/state /observation/joints /control_source /camera/wrist/compressed "
    "/camera/front/compressedDepth",
}


@pytest.mark.parametrize("to", list(NAMES))
def test_names_in_the_files(tree: Path, to: str) -> None:
    (group,) = grouped(parts_of(tree), NAMES[to])
    assert group.name == "sawyer_cell"
    assert [number for _, number in group.items] == [0, 1, 2]
    found = {column.source for column in group.plan.columns} | set(group.plan.cameras.values())
    assert set(SOURCES[to].split()) <= found | set(group.plan.depth.values())
    rules = group.plan.mapping.streams
    assert sorted(rules) == ["action", "control_source", "fixed", "front", "gripper", "hand", "joints", "wrist"]
    assert {rule.source for rule in rules.values()} >= set(SOURCES[to].split())
    assert rules["hand"].select == (("hand_x", "hand_y", "hand_z") if to == "mcap" else (0, 1, 2))


def two_arms(cell: Embodiment) -> Embodiment:
    """Both arms name their dimensions alike; the second arm's action is what its state was."""
    arm = StateGroup("left", ("x", "y"), "m", "left")
    state = (arm, replace(arm, name="right", stream="right"))
    act = ActionGroup("left", ("x", "y"), "m", "world", "absolute", (-1.0, -1.0), (1.0, 1.0))
    groups = (act, replace(act, name="right", stream="right", measured=True))
    return replace(
        cell,
        observation=replace(cell.observation, state=state, kept=(), depth=()),
        action=replace(cell.action, groups=groups),
    )


@pytest.mark.parametrize("to", list(NAMES))
def test_dimensions_of_one_name_and_measured_actions(
    make_episode: Callable[..., EpisodeFrames],
    write_tree: Callable[..., Path],
    cell: Embodiment,
    tmp_path: Path,
    to: str,
) -> None:
    one = make_episode(1)
    extras = {"control_source": one.extras["control_source"], "observation.load": one.state[:, :1].astype(np.float64)}
    tree = write_tree(tmp_path / "tree", [replace(one, depth={}, extras=extras)], two_arms(cell))
    convert(parts_of(tree), tmp_path / to, to)
    (episode,) = read(tmp_path / to)
    assert episode.carried_id == one.episode_id
    assert sorted(episode.streams) == [
        "action",
        "control_source",
        "fixed",
        "left",
        "load",
        "right",
        "wrist",
    ]
    np.testing.assert_array_equal(episode.streams["left"].values, one.state[:, :2])
    np.testing.assert_array_equal(episode.streams["right"].values, one.state[:, 2:])
    np.testing.assert_array_equal(episode.streams["action"].values, one.action[:, :2])
    np.testing.assert_array_equal(episode.streams["load"].values, one.state[:, :1])
    assert episode.streams["right"].names == ("x", "y")


@given(st.integers(1, 40), st.integers(1, 12))
def test_batches_hold_everything_once(count: int, size: int) -> None:
    found = list(batches(range(count), size))
    assert [item for batch in found for item in batch] == list(range(count))
    assert all(len(batch) == size for batch in found[:-1])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("1970-01-01T00:00:01.000002Z", 1_000_002_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86_400_000_000_000),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_when_it_was_recorded(said: str, expected: int) -> None:
    assert _epoch_ns(said) == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_png_keeps_every_pixel(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    depth = rng.integers(0, 65536, (height, width)).astype(np.uint16)
    np.testing.assert_array_equal(decode_image(encoded(image, "png"), where="a"), image)
    np.testing.assert_array_equal(decode_depth(encoded(depth, "png"), where="a"), depth)
    np.testing.assert_array_equal(decode_depth(encoded(depth, "jpeg"), where="a"), depth)
    assert encoded(image, "png") == encoded(image[:, ::-1][:, ::-1], "png")


def test_jpeg_keeps_the_resolution_of_colour() -> None:
    with Image.open(io.BytesIO(encoded(np.zeros((16, 16, 3), np.uint8), "jpeg"))) as image:
        # (id, horizontal samples, vertical samples, table) of each component.
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
