"""Columns of every robot that is known, without one being named in the code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.checks.channels import Channels, Pairing
from components.checks.codes import NEEDS
from components.checks.measure.pictures import CameraFacts
from components.checks.reduce import Reduction
from components.core.embodiment_files import embodiment, known_embodiments
from components.core.spec import SAWYER_CELL, StateGroup

# Robot -> (what can be judged but for cameras, paired commands, grippers, whether commands are steps).
KNOWN = {
    "aloha": ("commands gripper limits", 12, 2, False),
    "bridge-widowx": ("commands gripper metres", 6, 1, True),
    "droid-franka": ("commands gripper", 7, 1, True),
    "droid-franka-cartesian": ("commands gripper metres", 6, 1, True),
    "libero-panda": ("commands gripper metres", 6, 0, True),
    "mobile-aloha": ("commands gripper limits", 12, 2, False),
    "panda-robomimic": ("commands gripper metres", 3, 0, True),
    "reachy2": ("commands gripper limits", 17, 2, False),
    "sawyer-cell": ("commands gripper limits metres", 3, 1, True),
    "so101": ("commands gripper limits", 5, 1, False),
    "unitree-g1": ("commands limits", 14, 0, False),
}


def frames_of(channels: Channels, ticks: int = 30) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frames = {key: rng.normal(size=(ticks, width)).astype(np.float32) for key, width in channels.blocks}
    return frames | {"observation.time": np.arange(ticks) / 20}


def test_every_built_in_robot_is_listed_here() -> None:
    assert set(KNOWN) == set(known_embodiments())


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_can_be_judged_of_a_robot(name: str) -> None:
    channels = Channels(embodiment(name))
    can, paired, grippers, delta = KNOWN[name]
    assert channels.can <= set(NEEDS)
    assert channels.can - {"camera", "cameras"} == set(can.split())
    assert ("cameras" in channels.can) == (len(channels.body.observation.cameras) > 1)
    assert sum(len(pairing.action) for pairing in channels.pairings) == paired
    assert {pairing.delta for pairing in channels.pairings} == {delta}
    assert len(channels.grippers) == grippers


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_columns_lie_side_by_side_and_refer_to_each_other(name: str) -> None:
    channels = Channels(embodiment(name))
    frames = frames_of(channels)
    values = channels.matrix(frames)
    assert values.shape == (30, len(channels))
    assert (values[:, channels.action] == frames["action"]).all()
    assert (values[:, channels.state] == frames["observation.state"]).all()
    assert len(channels.low) == len(channels.high) == len(channels.steady) == len(channels)
    assert (channels.low < channels.high).all()
    assert not channels.steady[channels.action].any()
    assert len({channel.path for channel in channels.all}) == len(channels)
    for pairing in channels.pairings:
        assert len(pairing.action) == len(pairing.state) == len(set(pairing.state))
        assert all(channels.all[column].role == "action" for column in pairing.action)
        assert all(channels.all[column].role != "action" for column in pairing.state)
    assert {channels.all[column].role for column in channels.hand} == {"state"}
    assert len({channels.all[column].units for column in channels.hand}) == 1 or not channels.has_metres


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_an_episode_of_every_robot_can_be_reduced(name: str) -> None:
    channels = Channels(embodiment(name))
    reduction = Reduction(frames_of(channels), channels, fps=20, black_level=8.0)
    for camera in channels.body.observation.cameras:
        facts = CameraFacts(30)
        facts.take([np.full((30, 16, 16), 99, np.uint8)], full_range=True)
        reduction.add_camera(camera, facts)
    row = reduction.row()
    assert row["length"] == 30
    assert row["lag_scores"].any() == bool(channels.pairings)
    for name_of, vector in row.items():
        if isinstance(vector, np.ndarray):
            assert np.isfinite(vector).all(), name_of


def test_streams_that_are_kept_come_together_whatever_their_order() -> None:
    joints = SAWYER_CELL.observation.kept[0]
    force, more = (
        StateGroup("force", ("fx", "fy"), "N", "force"),
        replace(joints, name="more", names=("j8",), low=(), high=()),
    )
    seen = replace(SAWYER_CELL.observation, kept=(joints, force, more))
    channels = Channels(replace(SAWYER_CELL, observation=seen))
    blocks = (("observation.state", 4), ("observation.joints", 8), ("observation.force", 2), ("action", 4))
    assert channels.blocks == blocks
    assert channels.features == tuple(key for key, _ in blocks)
    assert [channel.name for channel in channels.all[11:14]] == ["j8", "fx", "fy"]
    assert (channels.measured, channels.action) == (slice(0, 14), slice(14, 18))


def test_limits_are_declared_or_those_of_absolute_commands_or_none() -> None:
    cell, arms = Channels(SAWYER_CELL), Channels(embodiment("aloha"))
    assert cell.low[4:11].tolist() == list(SAWYER_CELL.observation.kept[0].low)
    assert np.isinf(cell.low[:4]).all()
    assert arms.low[:6].tolist() == list(arms.body.action.groups[0].low)


def with_state(*groups: StateGroup) -> Channels:
    """The cell with these measured beside its hand and its gripper."""
    seen = replace(SAWYER_CELL.observation, state=(*SAWYER_CELL.observation.state, *groups))
    return Channels(replace(SAWYER_CELL, observation=seen))


def test_a_gripper_and_a_quaternion_do_not_move_steadily() -> None:
    turned = StateGroup("turn", ("w", "x", "y", "z"), "rad", "hand", "slerp", "quaternion_wxyz")
    jaw = StateGroup("jaw", ("jaw",), "rad", "hand", gripper_open=1.0, gripper_closed=0.0)
    assert with_state(turned, jaw).steady[:9].tolist() == [True, True, True, *[False] * 6]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_robot_has_a_gripper_that_moves_steadily(name: str) -> None:
    channels = Channels(embodiment(name))
    for gripper in channels.grippers:
        assert gripper.state not in channels.hand
        assert not channels.steady[gripper.state]
        assert np.isinf([channels.reach_low[gripper.state], channels.reach_high[gripper.state]]).all()


@pytest.mark.parametrize(("units", "steady"), [*((u, True) for u in ("m", "cm", "mm", "rad", "deg")), ("N", False)])
def test_lengths_and_angles_move_steadily_in_any_unit(units: str, steady: bool) -> None:
    channels = with_state(
        StateGroup("more", ("a", "b"), units, "more"), StateGroup("held", ("c",), units, "m", "previous")
    )
    assert channels.steady[4:7].tolist() == [steady, steady, False]
    groups = [(0, 1, 2), (4, 5), tuple(range(7, 14))]
    assert list(channels.steady_groups) == [group for group in groups if steady or group[0] != 4]


def test_reach_is_that_of_what_is_measured_without_its_grippers() -> None:
    jaw = StateGroup("jaw", ("jaw",), "m", "jaw", "previous", low=(0.0,), high=(0.1,))
    lift = StateGroup("lift", ("lift",), "m", "lift", low=(0.0,), high=(0.5,))
    channels = with_state(jaw, lift)
    assert (channels.low[4], channels.high[4]) == (0.0, 0.1)
    assert (channels.reach_low[3:6].tolist(), channels.reach_high[3:6].tolist()) == (
        [-np.inf] * 2 + [0],
        [np.inf] * 2 + [0.5],
    )
    assert channels.reach_high[6:].tolist() == list(SAWYER_CELL.observation.kept[0].high)


def test_the_hand_is_in_metres_where_there_are_any() -> None:
    cell = Channels(SAWYER_CELL)
    assert (cell.hand.tolist(), cell.has_metres, cell.still) == ([0, 1, 2], True, 0.002)
    arms = Channels(embodiment("so101"))
    assert (arms.hand.tolist(), arms.has_metres, arms.still) == (list(range(5)), False, 0.6)
    assert Channels(embodiment("aloha")).still == 0.01


def test_commands_are_paired_by_name_then_by_group_then_as_steps_of_the_hand() -> None:
    assert Channels(SAWYER_CELL).pairings == (Pairing((11, 12, 13), (0, 1, 2), True),)
    arm, gripper = SAWYER_CELL.action.groups
    hand = SAWYER_CELL.observation.state[0]

    def pairings(**changes: object) -> tuple[Pairing, ...]:
        groups = (gripper, replace(arm, **changes))  # type: ignore[arg-type]
        return Channels(replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=groups))).pairings

    assert pairings() == (Pairing((12, 13, 14), (0, 1, 2), True),)
    by_group = pairings(name=hand.name, names=("a", "b", "c"), representation="absolute")
    assert by_group == (Pairing((12, 13, 14), (0, 1, 2), False),)
    backwards = pairings(names=hand.names[::-1], representation="absolute")
    assert backwards == (Pairing((12, 13, 14), (2, 1, 0), False),)
    assert pairings(name="free", names=("a", "b", "c"), representation="absolute") == ()
