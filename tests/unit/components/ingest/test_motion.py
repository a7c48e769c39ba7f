from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Form, Stream
from components.core.errors import ContractError
from components.core.spec import ActionGroup, StateGroup
from components.ingest.align import Grid, align
from components.ingest.motion import commands, state_rotation, state_track
from components.transforms.actions import step_on, turn
from components.transforms.rotations import angle_between, from_quaternion, to_quaternion

S = 10**9


def at(rate_hz: float, count: int) -> np.ndarray:
    return np.rint(np.arange(count) * (S / rate_hz)).astype(np.int64)


def arm(**changes: Any) -> ActionGroup:
    plain: dict[str, Any] = {"name": "arm", "names": ("x", "y"), "units": "m", "frame": "base"}
    plain |= {"representation": "step_delta", "low": (-1.0, -1.0), "high": (1.0, 1.0)}
    return ActionGroup(**plain | changes)


def wrist(form: str = "axis_angle", **changes: Any) -> ActionGroup:
    names = {"axis_angle": 3, "quaternion_xyzw": 4}[form]
    side = (1.0,) * names
    return arm(names=tuple("abcd"[:names]), low=(-1.0,) * names, high=side, units="rad", rotation=form, **changes)


def resampled(group: ActionGroup, steps: np.ndarray, rate_hz: float, fps: int, **options: Any) -> np.ndarray:
    """Steps recorded at `rate_hz` on ticks at `fps` over the same time."""
    stream = Stream("action", "action", at(rate_hz, len(steps)), steps)
    ticks_ns = at(fps, round(len(steps) / rate_hz * fps))
    picked = steps[np.minimum(np.searchsorted(stream.time_ns, ticks_ns), len(steps) - 1)]
    return commands(stream, stream, group, picked, ticks_ns, fps=fps, **{"causal": False, "where": "f"} | options)


@given(st.sampled_from([5, 10, 15, 30, 40, 100]), st.integers(0, 10**6))
def test_no_way_is_lost_at_another_rate(fps: int, seed: int) -> None:
    steps = np.random.default_rng(seed).normal(size=(40, 2))
    np.testing.assert_allclose(resampled(arm(), steps, 20, fps).sum(axis=0), steps.sum(axis=0), atol=1e-9)


def test_half_the_rate_goes_twice_as_far_in_a_step() -> None:
    steps = np.arange(8.0).repeat(2).reshape(8, 2)
    np.testing.assert_allclose(resampled(arm(), steps, 20, 10)[:, 0], [1, 5, 9, 13])
    np.testing.assert_allclose(resampled(arm(), steps, 20, 40)[:4, 0], [0, 0, 0.5, 0.5])
    # A causal step is what was gone until its tick.
    np.testing.assert_allclose(resampled(arm(), steps, 20, 10, causal=True)[:, 0], [0, 1, 5, 9])


def test_steps_at_their_own_rate_stay_as_they_were() -> None:
    steps = np.random.default_rng(0).normal(size=(9, 2))
    np.testing.assert_array_equal(resampled(arm(), steps, 20, 20), steps)


def test_a_share_of_a_limit_is_a_speed() -> None:
    steps = np.ones((8, 2))
    np.testing.assert_array_equal(
        resampled(arm(units="normalised (1 = 0.05 m a step)"), steps, 20, 10), np.ones((4, 2))
    )


@pytest.mark.parametrize("frame", ["base", "tool"])
@pytest.mark.parametrize("form", ["axis_angle", "quaternion_xyzw"])
@given(seed=st.integers(0, 10**6))
def test_no_turn_is_lost_at_another_rate(frame: str, form: str, seed: int) -> None:
    small = np.random.default_rng(seed).normal(size=(12, 3)) * 0.2
    group = wrist(form, frame=frame)
    steps = from_quaternion(to_quaternion(small, "axis_angle"), form)

    def led_to(turns: np.ndarray) -> np.ndarray:
        here = from_quaternion(np.array([0.0, 0.0, 0.0, 1.0]), form)
        for one in turns:
            here = step_on(group, here, one)
        return turn(group, here)

    for fps in (5, 10, 40):
        assert float(angle_between(led_to(resampled(group, steps, 20, fps)), led_to(steps))) < 1e-6


def places(values: np.ndarray, group: ActionGroup) -> np.ndarray:
    stream = Stream("action", "action", at(20, len(values)), values, form=Form(representation="absolute"))
    return commands(stream, stream, group, values, stream.time_ns, fps=20, causal=False, where="f")


def test_places_become_steps_from_the_command_before() -> None:
    values = np.array([[1.0, 0.0], [1.5, 0.0], [1.0, 2.0]])
    assert places(values, arm()).tolist() == [[0, 0], [0.5, 0], [-0.5, 2]]
    # What was measured at a tick is where the step of that tick begins.
    assert places(values, arm(measured=True)).tolist() == [[0.5, 0], [-0.5, 2], [0, 0]]
    assert places(values, arm(representation="absolute")).tolist() == values.tolist()
    assert places(values, arm(representation="chunk_relative")).tolist() == values.tolist()


def test_turns_become_steps_the_short_way_round() -> None:
    values = np.radians([[0, 0, 170.0], [0, 0, -170.0]])
    np.testing.assert_allclose(np.degrees(places(values, wrist())), [[0, 0, 0], [0, 0, 20]], atol=1e-9)


@pytest.mark.parametrize("interpolate", ["linear", "previous"])
def test_a_state_that_is_a_rotation_goes_along_an_arc(interpolate: str) -> None:
    group = StateGroup("turn", ("r", "p", "y"), "deg", "hand", interpolate=interpolate, rotation="euler_xyz")
    hand = Stream("hand", "state", at(10, 3), np.array([[0, 0, 170.0], [0, 0, -170.0], [0, 0, -150.0]]))
    track = state_track(hand, group)
    action = state_track(
        Stream("action", "action", at(20, 5), np.zeros((5, 1))), StateGroup("a", ("a",), "m", "action")
    )
    got = align({"hand": track, "action": action}, Grid("action", 20, 0))
    yaw = state_rotation(got.values["hand"], track, group)[:, 2]
    expected = [170, 180, -170, -160, -150] if interpolate == "linear" else [170, 170, -170, -170, -150]
    np.testing.assert_allclose(np.mod(yaw, 360), np.mod(expected, 360), atol=1e-6)


def test_a_rotation_in_shares_of_a_limit_has_no_arc() -> None:
    group = StateGroup("turn", ("r", "p", "y"), "normalised", "hand", rotation="euler_xyz")
    with pytest.raises(ContractError, match="state group 'turn': units is 'normalised', expected rad or deg"):
        state_track(Stream("hand", "state", at(10, 2), np.zeros((2, 3))), group)


def test_a_quaternion_keeps_its_numbers_at_its_samples() -> None:
    group = StateGroup("turn", tuple("wxyz"), "unit quaternion", "hand", "slerp", "quaternion_wxyz")
    hand = Stream("hand", "state", at(10, 2), np.array([[-1.0, 0, 0, 0], [0, 1.0, 0, 0]]))
    track = state_track(hand, group)
    assert track.stream is hand
    got = align({"hand": track}, Grid("hand", 10, 0))
    np.testing.assert_array_equal(state_rotation(got.values["hand"], track, group)[0], [-1.0, 0, 0, 0])
