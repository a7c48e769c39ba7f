from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Episode
from components.core.errors import ComponentError
from components.core.params import Raw
from components.record import demonstrate
from components.record.demonstrate import HORIZON, Studio, disturb
from components.record.plan import EpisodePlan, Format, plan_episodes
from components.record.sensors import _Clock
from components.sim.cell import CONTROL_NS
from components.sim.tasks import TASKS


def _plan(raw: Raw, **changes: str) -> EpisodePlan:
    (plan,) = plan_episodes(raw, "faucet-open", 1)
    return EpisodePlan(**{**vars(plan), **changes})


def _values(episode: Episode, name: str) -> np.ndarray:
    return np.asarray(episode.stream(name).values)


@given(sigma=st.floats(0.05, 0.5), seed=st.integers(0, 1000))
def test_the_disturbance_is_stationary_and_leaves_the_gripper_alone(sigma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise, drawn = np.zeros(4), []
    for _ in range(800):
        noise = disturb(noise, sigma, rng)
        drawn.append(noise)
    assert np.std(np.array(drawn)[:, :3]) == pytest.approx(sigma, rel=0.15)
    assert not np.array(drawn)[:, 3].any()


@given(rate_hz=st.floats(5.0, 200.0), jitter_ns=st.integers(0, 10_000_000), seed=st.integers(0, 1000))
def test_clocks_never_go_back_and_keep_their_rate(rate_hz: float, jitter_ns: int, seed: int) -> None:
    clock = _Clock(np.random.default_rng(seed), rate_hz, jitter_ns)
    times = np.array([clock.advance() for _ in range(60)])
    assert (np.diff(times) > 0).all()
    assert -1e9 / rate_hz <= times[0] < 0
    assert (times[-1] - times[0]) * rate_hz / 1e9 == pytest.approx(59, abs=1.0)


@pytest.mark.sim
@pytest.mark.parametrize("format_", ["mcap", "hdf5"])
def test_a_demonstration_holds_what_a_policy_needs(raw: Raw, studio: Studio, format_: Format) -> None:
    episode = studio.demonstrate(_plan(raw), format_, raw)
    steps = len(episode.stream("action"))
    assert 5 < steps <= HORIZON + 6
    assert episode.instruction in TASKS["faucet-open"].phrasings
    assert episode.provenance.outcome == "success"
    assert len(episode.provenance.calibration_digest) == 64
    assert _values(episode, "joints").shape[1] == 7
    assert np.abs(_values(episode, "action")).max() <= 1.0
    assert np.ptp(_values(episode, "hand"), axis=0).max() > 0.1
    first, last = episode.stream("fixed").values[0], episode.stream("fixed").values[-1]
    assert not np.array_equal(first, last)


@pytest.mark.sim
def test_mcap_streams_run_on_clocks_of_their_own(raw: Raw, studio: Studio) -> None:
    episode = studio.demonstrate(_plan(raw), "mcap", raw)
    rates = {"fixed": 30, "wrist": 30, "joints": 100, "hand": 100, "gripper": 10, "action": 20}
    for name, rate_hz in rates.items():
        assert episode.stream(name).rate_hz == pytest.approx(rate_hz, rel=0.1)
        assert (np.diff(episode.stream(name).time_ns) > 0).all()
    starts = {int(episode.stream(name).time_ns[0]) for name in rates}
    assert len(starts) == len(rates)
    # Every control tick has an image of each camera within half a frame, the first and the last one included.
    for camera in ("fixed", "wrist"):
        distance = np.abs(np.subtract.outer(episode.stream("action").time_ns, episode.stream(camera).time_ns))
        assert distance.min(axis=1).max() < 22_000_000


@pytest.mark.sim
def test_hdf5_streams_share_a_jittered_20_hz_clock(raw: Raw, studio: Studio) -> None:
    episode = studio.demonstrate(_plan(raw), "hdf5", raw)
    times = {stream.time_ns.tobytes() for stream in episode.streams.values()}
    assert len(times) == 1
    steps = np.diff(episode.stream("action").time_ns)
    assert np.abs(steps - CONTROL_NS).max() < 2_000_000
    assert len(set(steps.tolist())) > len(steps) / 2


@pytest.mark.sim
def test_one_plan_shows_the_same_run_to_both_recorders(raw: Raw, studio: Studio) -> None:
    sparse = studio.demonstrate(_plan(raw), "hdf5", raw)
    dense = studio.demonstrate(_plan(raw), "mcap", raw)
    assert np.array_equal(_values(sparse, "action"), _values(dense, "action"))
    # The finely sampled hand, at the ticks, is where the coarse one says it was.
    at_ticks = [
        np.interp(sparse.stream("hand").time_ns, dense.stream("hand").time_ns, column)
        for column in _values(dense, "hand").T
    ]
    assert np.abs(np.stack(at_ticks, axis=1) - _values(sparse, "hand")).max() < 0.005


@pytest.mark.sim
def test_labels_are_clean_while_the_arm_runs_disturbed_actions(raw: Raw, studio: Studio) -> None:
    noisy = raw.model_copy(update={"noisy_share": 1.0, "execution_noise_max": 0.4})
    calm = raw.model_copy(update={"noisy_share": 0.0})
    disturbed, clean = (studio.demonstrate(_plan(raw), "hdf5", each) for each in (noisy, calm))
    assert np.array_equal(_values(clean, "action"), _values(clean, "action_executed"))
    difference = _values(disturbed, "action_executed") - _values(disturbed, "action")
    assert np.abs(difference[:, :3]).max() > 0.05
    assert not difference[:, 3].any()
    # Same scene, and the expert has not met a disturbance yet: the first label is the same.
    assert np.array_equal(_values(disturbed, "action")[0], _values(clean, "action")[0])


@pytest.mark.sim
def test_the_arm_rests_undisturbed_once_the_task_is_done(raw: Raw, studio: Studio) -> None:
    noisy = raw.model_copy(update={"noisy_share": 1.0, "execution_noise_max": 0.3, "hold_s": 0.4})
    # The cells of the shared studio stop after another time.
    with Studio() as own:
        episode = own.demonstrate(_plan(raw), "hdf5", noisy)
    labels, executed = _values(episode, "action"), _values(episode, "action_executed")
    # Eight steps in which the condition is met: one that met it, one more of the expert, then rest.
    assert not labels[-6:, :3].any()
    assert np.array_equal(labels[-6:], executed[-6:])
    assert len(set(labels[-7:, 3].tolist())) == 1, "the gripper stays as it was"
    assert labels[-7, :3].any()
    assert not np.array_equal(labels[:-6], executed[:-6])


@pytest.mark.sim
def test_an_idle_robot_stands_still(raw: Raw, studio: Studio) -> None:
    episode = studio.demonstrate(_plan(raw, fault="idle"), "hdf5", raw)
    assert np.ptp(_values(episode, "hand"), axis=0).max() < 0.01
    assert not _values(episode, "action").any()
    assert len(episode.stream("action")) > 8


@pytest.mark.sim
def test_an_expert_that_never_succeeds_ends_with_advice(
    raw: Raw, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstrate, "ATTEMPTS", 2)
    hopeless = raw.model_copy(update={"noisy_share": 1.0, "execution_noise_max": 1e6})
    with pytest.raises(ComponentError, match=r"faucet-open: the scripted expert failed 2 times.* Lower raw\."):
        studio.demonstrate(_plan(raw), "hdf5", hopeless)
