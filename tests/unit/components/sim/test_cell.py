from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from components.core.errors import ContractError, UsageError
from components.core.spec import SAWYER_CELL
from components.sim.cameras import CAMERAS
from components.sim.cell import CONTROL_NS, SUBSTEP_NS, Cell, Observation, Reading
from components.sim.hold import Hold, hold_steps
from components.sim.tasks import TASKS

pytestmark = pytest.mark.sim


def _drive(cell: Cell, seed: int, steps: int = 6) -> list[Observation]:
    cell.reset(seed)
    seen = [cell.observe()]
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        cell.step(rng.uniform(-1, 1, 4))
    return [*seen, cell.observe()]


def _same(left: list[Observation], right: list[Observation]) -> bool:
    return all(
        np.array_equal(a.state, b.state) and all(np.array_equal(a.images[c], b.images[c]) for c in CAMERAS)
        for a, b in zip(left, right, strict=True)
    )


def test_observations_follow_the_embodiment(drawer: Cell) -> None:
    drawer.reset(1)
    observation = drawer.observe()
    spec = SAWYER_CELL.observation
    assert tuple(observation.images) == spec.cameras
    for image in observation.images.values():
        assert image.shape == (spec.image_px, spec.image_px, 3)
        assert image.dtype == np.uint8
        assert image.flags["C_CONTIGUOUS"]
        assert image.std() > 10
    assert observation.state.shape == (len(spec.state_names),)
    assert observation.state.dtype == np.float32


@pytest.mark.parametrize("name", ["faucet-close", "handle-pull"])
def test_a_seed_decides_states_and_pixels_whatever_happened_before(name: str) -> None:
    with Cell(name) as fresh:
        expected = _drive(fresh, seed=5)
    with Cell(name) as used:
        for seed in (1, 2):
            _drive(used, seed, steps=20)
        assert _same(_drive(used, seed=5), expected)
        assert not _same(_drive(used, seed=6), expected)


def test_a_renderer_that_was_dropped_unclosed_does_not_corrupt_the_next() -> None:
    with Cell("drawer-open") as clean:
        expected = _drive(clean, seed=3, steps=1)
    dropped = Cell("drawer-open")
    dropped.reset(1)
    dropped.observe()
    with Cell("drawer-open") as later:
        del dropped
        gc.collect()
        assert _same(_drive(later, seed=3, steps=1), expected)


def test_the_fixed_camera_is_turned_upright(drawer: Cell) -> None:
    drawer.reset(1)
    image = drawer.render("fixed").astype(int)
    brown = image[..., 0] - image[..., 2] > 25
    # The wooden table is below; above are the grey wall and a bit of the red arm.
    assert brown[64:].mean() > 0.5
    assert brown[:16].mean() < 0.2


def test_shapes_out_of_view_are_left_out_without_changing_a_pixel(drawer: Cell) -> None:
    cameras: Any = drawer._cameras
    drawer.reset(2)
    for _ in range(4):
        drawer.step([0.8, 0.5, -0.9, 1.0])
    for name, (scene_name, _) in CAMERAS.items():
        shown = cameras._in_view(drawer._data, scene_name)
        culled = drawer.render(name)
        everything = np.ones_like(shown)
        cameras._in_view, original = (lambda *_, seen=everything: seen), cameras._in_view
        try:
            assert np.array_equal(drawer.render(name), culled)
        finally:
            cameras._in_view = original
        # Otherwise this test compares nothing.
        assert name != "wrist" or not shown.all()


def test_the_expert_sees_the_goal_and_the_seed_moves_it() -> None:
    with Cell("faucet-open") as cell:
        goals = []
        for seed in (1, 2):
            cell.reset(seed)
            cell.step(np.zeros(4))
            goals.append(cell.full_state()[36:39])
            assert np.allclose(goals[-1], cell._env._target_pos)
    assert not np.allclose(goals[0], goals[1])


def test_one_step_is_50_ms_and_moves_the_arm_as_told(drawer: Cell) -> None:
    drawer.reset(1)
    before = drawer.state()
    for number in range(4):
        assert drawer.time_ns == number * CONTROL_NS
        drawer.step([1.0, 0.0, 0.0, -1.0])
    after = drawer.state()
    assert after[0] - before[0] > 0.05
    assert abs(after[1] - before[1]) < 0.02
    assert after[3] > 0.9


def test_actions_beyond_the_limits_are_clipped(drawer: Cell) -> None:
    reached = []
    for size in (1.0, 50.0):
        drawer.reset(1)
        drawer.step([size, -size, size, -size])
        reached.append(drawer.full_state())
    assert np.array_equal(*reached)


def test_success_must_hold_to_the_end_of_every_control_step(drawer: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    drawer.reset(1)
    met = iter([1, 0, 1, 1, 1, 0])
    original = drawer._env.step
    calls = 0

    def step(action: object) -> tuple[object, ...]:
        nonlocal calls
        *rest, info = original(action)
        calls += 1
        # The flag blinks within each control step: only its end counts.
        return *rest, {**info, "success": float(next(met)) if calls % 4 == 0 else 1.0}

    monkeypatch.setattr(drawer._env, "step", step)
    monkeypatch.setattr(drawer, "hold", Hold(hold_steps(0.15)))
    seen = [(drawer.step(np.zeros(4)), drawer.holding) for _ in range(6)]
    assert [success for success, _ in seen] == [False, False, False, False, True, False]
    assert [holding for _, holding in seen] == [True, False, True, True, True, False]


def test_a_reset_forgets_success(drawer: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    drawer.reset(1)
    original = drawer._env.step
    monkeypatch.setattr(drawer._env, "step", lambda action: (*original(action)[:4], {"success": 1.0}))
    # Half a second is what counts where nobody says otherwise.
    assert [drawer.step(np.zeros(4)) for _ in range(10)] == [False] * 9 + [True]
    drawer.reset(1)
    assert not drawer.success
    assert not drawer.holding


def test_an_episode_may_take_as_long_as_the_caller_wants(drawer: Cell) -> None:
    drawer.reset(1)
    for _ in range(130):
        drawer.step(np.zeros(4))
    assert drawer.time_ns == 130 * CONTROL_NS


@pytest.mark.parametrize("action", [[0.0] * 3, [[0.0] * 4], [0.0, 0.0, np.nan, 0.0], [np.inf, 0.0, 0.0, 0.0]])
def test_actions_that_no_robot_should_run_are_refused(drawer: Cell, action: list[float]) -> None:
    drawer.reset(1)
    with pytest.raises(ContractError, match="action must be 4 finite numbers"):
        drawer.step(action)


def test_sensors_can_be_read_between_physics_steps_without_changing_the_physics(drawer: Cell) -> None:
    drawer.reset(4)
    drawer.step([0.5, 0.5, -0.5, 1.0])
    expected = drawer.full_state()
    drawer.reset(4)
    readings: list[Reading] = []
    drawer.on_substep = lambda cell: readings.append(cell.reading())
    try:
        drawer.step([0.5, 0.5, -0.5, 1.0])
    finally:
        drawer.on_substep = None
    assert np.array_equal(drawer.full_state(), expected)
    assert [reading.time_ns for reading in readings] == [SUBSTEP_NS * (n + 1) for n in range(20)]
    last = readings[-1]
    assert np.allclose([*last.hand, last.gripper], expected[:4], atol=1e-9)
    assert np.linalg.norm(last.orientation) == pytest.approx(1.0)
    # The hand moves between the readings, so they are not one reading twenty times.
    assert len({reading.hand.tobytes() for reading in readings}) == 20


def test_an_image_can_be_rendered_later(drawer: Cell) -> None:
    drawer.reset(2)
    drawer.step([1.0, 1.0, -1.0, 1.0])
    pose, then = drawer.pose(), drawer.observe()
    drawer.step([-1.0, 0.0, 1.0, -1.0])
    state = drawer.full_state()
    for camera in CAMERAS:
        assert np.array_equal(drawer.render_past(pose, camera), then.images[camera])
        assert not np.array_equal(drawer.render(camera), then.images[camera])
    assert np.array_equal(drawer.full_state(), state)


def test_the_goal_markers_are_not_drawn(drawer: Cell) -> None:
    # Sites tell where the goal is. Their size decides nothing as long as they are hidden.
    drawer.reset(1)
    before = drawer.render("fixed")
    sizes = drawer._model.site_size.copy()
    drawer._model.site_size[:] = 0.3
    try:
        assert np.array_equal(drawer.render("fixed"), before)
    finally:
        drawer._model.site_size[:] = sizes


def test_calibration_names_both_cameras_and_is_the_same_for_every_task(drawer: Cell) -> None:
    with Cell("faucet-open") as other:
        assert other.calibration() == drawer.calibration()
    assert drawer.calibration()["fixed"]["fovy_deg"] == 60.0


def test_a_cell_that_was_not_reset_says_so() -> None:
    with Cell(TASKS["faucet-open"]) as cell, pytest.raises(UsageError, match=r"not reset\. Call Cell\.reset"):
        cell.step(np.zeros(4))


def test_a_closed_cell_says_so_and_closes_twice() -> None:
    cell = Cell("faucet-open")
    cell.reset(1)
    cell.close()
    cell.close()
    with pytest.raises(UsageError, match="the cell is closed"):
        cell.observe()
    with pytest.raises(UsageError, match="the cell is closed"):
        cell.reset(1)
