"""Faults of what was measured and commanded, by the amount that the table says."""

from __future__ import annotations

import numpy as np
import pytest
from checkbench.parts import ACTION, numbers
from checkbench.samples import JOINT_HIGH, JOINT_LOW
from faulty import EVERY, SEEDS, Make, changed, faulty, of_changed

from components.core.episode import Episode


@EVERY
def test_nan_is_one_run(strength: int, episode: Episode) -> None:
    _, values = of_changed(episode, faulty("nan", episode, strength))
    bad = np.isnan(values).all(axis=1)
    assert bad.sum() == (1, max(1, round(0.05 * len(bad))), max(1, round(0.2 * len(bad))))[strength]
    assert np.isnan(values).any(axis=1).sum() == bad.sum() == np.ptp(np.flatnonzero(bad)) + 1


@EVERY
def test_commands_leave_their_limits(strength: int, episode: Episode) -> None:
    values = numbers(faulty("action_out_of_range", episode, strength), ACTION)
    beyond = np.abs(values).max(axis=1) - 1.0
    assert (beyond > 0).sum() == max(1, round(0.1 * len(values)))
    assert beyond[beyond > 0] == pytest.approx((0.02, 0.2, 2.0)[strength])


@EVERY
def test_single_commands_jump_to_the_opposite_limits(strength: int, episode: Episode) -> None:
    old, new = of_changed(episode, faulty("action_jump", episode, strength))
    hit = np.flatnonzero((old != new).any(axis=1))
    assert len(hit) == (1, 2, 4)[strength]
    assert (np.diff(hit) > 1).all()
    assert (np.abs(new[hit, :3]) == 1).all()
    assert (np.sign(new[hit, :3]) == -np.sign(old[hit, :3])).all()
    assert np.array_equal(new[:, 3], old[:, 3])


@EVERY
def test_the_hand_is_elsewhere_from_one_sample_on(strength: int, episode: Episode) -> None:
    old, new = of_changed(episode, faulty("state_jump", episode, strength))
    away = np.linalg.norm(new - old, axis=1)
    assert set(np.round(away, 9)) == {0.0, (0.1, 0.2, 0.4)[strength]}
    assert (np.diff(away) > 0.01).sum() == (np.abs(np.diff(away)) > 0.01).sum() == 1


@EVERY
def test_a_joint_lies_beyond_its_limit(strength: int, episode: Episode) -> None:
    _, new = of_changed(episode, faulty("joint_limit", episode, strength))
    beyond = np.maximum(new - JOINT_HIGH, np.array(JOINT_LOW) - new).max(axis=1)
    assert (beyond > 0).sum() == round(0.2 * len(new))
    assert np.rad2deg(beyond[beyond > 0]) == pytest.approx((1, 5, 20)[strength])


@EVERY
def test_units_are_others(strength: int, episode: Episode) -> None:
    after = faulty("unit_mismatch", episode, strength)
    factors = {"hand": 1000.0, "joints": 180 / np.pi}
    names = changed(episode, after)
    assert len(names) == (2 if strength == 2 else 1)
    for name in names:
        ratios = np.median(numbers(after, name) / numbers(episode, name), axis=0)
        wrong = ratios == pytest.approx(factors[name])
        assert np.isclose(ratios, factors[name]).sum() == (1 if strength == 0 else len(ratios)), wrong


@EVERY
def test_a_dimension_keeps_its_value(strength: int, episode: Episode) -> None:
    old, new = of_changed(episode, faulty("constant_dim", episode, strength))
    still = (np.diff(new, axis=0) == 0).any(axis=1)
    assert still.sum() == round((0.5, 0.75, 1.0)[strength] * len(new)) - 1
    assert (old != new).any(axis=0).sum() == 1


@EVERY
def test_the_gripper_is_mirrored(strength: int, episode: Episode) -> None:
    share = (0.5, 0.75, 1.0)[strength]
    for seed in SEEDS:
        after = faulty("gripper_inverted", episode, strength, seed=seed)
        (name,) = changed(episode, after)
        old, new = numbers(episode, name)[:, -1], numbers(after, name)[:, -1]
        first = len(old) - round(share * len(old))
        assert new[first:] == pytest.approx((0.0 if name == ACTION else 1.0) - old[first:])
        assert np.array_equal(new[:first], old[:first])


@EVERY
def test_commands_of_another_task(strength: int, episode: Episode, others: list[Episode]) -> None:
    old, new = of_changed(episode, faulty("action_state_disagree", episode, strength, others))
    hit = (old != new).any(axis=1)
    assert hit.sum() == round((0.25, 0.5, 1.0)[strength] * len(old))
    strange = {row.tobytes() for other in others for row in numbers(other, ACTION)}
    assert all(row.tobytes() in strange for row in new[hit])


@EVERY
def test_dimensions_are_exchanged(strength: int, episode: Episode) -> None:
    for seed in SEEDS:
        old, new = of_changed(episode, faulty("wrong_dim_order", episode, strength, seed=seed))
        first = len(old) // 2 if strength == 0 else 0
        assert np.array_equal(new[:first], old[:first])
        assert np.array_equal(np.sort(new, axis=1), np.sort(old, axis=1))
        moved = (old != new).any(axis=0).sum()
        assert moved == (2 if strength < 2 else 2 * (old.shape[1] // 2))


@EVERY
def test_a_drift_is_the_same_for_all_with_one_draw(strength: int, episode: Episode, make_episode: Make) -> None:
    later = make_episode(shared_clock=True, number=5)
    for seed in SEEDS:
        shifts = []
        for one in (episode, later):
            after = faulty("calibration_drift", one, strength, seed=seed)
            (name,) = changed(one, after)
            shift = numbers(after, name) - numbers(one, name)
            assert np.ptp(shift, axis=0) == pytest.approx(0, abs=1e-12)
            shifts.append(shift[0])
        assert shifts[0] == pytest.approx(shifts[1])
        size = np.linalg.norm(shifts[0])
        off = (0.005, 0.01, 0.02) if name == "hand" else np.deg2rad((0.5, 1, 2))
        assert size == pytest.approx(off[strength])
