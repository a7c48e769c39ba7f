from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from components.core.embodiment_files import load_embodiment
from components.core.episode import Episode, Form, Provenance, Stream, StreamKind, episode_id
from components.core.errors import EpisodeError
from components.core.files import digest_json
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup
from components.dataset.frames import EpisodeFrames
from components.formats.mapping import load_mappings
from components.formats.registry import read
from components.ingest.canonical import to_frames
from components.transforms.rotations import ConvertRotation, angle_between

RATES = {"fixed": 30, "wrist": 30, "hand": 100, "joints": 100, "gripper": 10}
EXAMPLES = Path(__file__).resolve().parents[4] / "robots" / "examples"
MS = 1_000_000


def frames_of(episode: Episode, body: Embodiment = SAWYER_CELL, fps: int = 20, **options: Any) -> EpisodeFrames:
    return to_frames(episode, body, fps=fps, max_misalignment_ms=25.0, **options)


def stacked(frames: EpisodeFrames, camera: str) -> np.ndarray:
    return np.stack(list(frames.images[camera]))


@pytest.fixture
def episode(recordings: ModuleType, tmp_path: Path) -> Callable[..., Episode]:
    """Episode of a demo, by way of a file: `episode(demo, "hdf5" | "mcap")`."""

    def through_a_file(demo: Any, kind: str) -> Episode:
        path = tmp_path / f"a.{kind}"
        if kind == "hdf5":
            recordings.write_hdf5(path, [demo])
        else:
            recordings.write_mcap(path, demo)
        (found,) = read(path)
        return found

    return through_a_file


def clock(rate_hz: float, seconds: float = 1.0) -> np.ndarray:
    return np.rint(np.arange(0, seconds, 1 / rate_hz) * 1e9).astype(np.int64)


def numbers(name: str, kind: StreamKind, values: Any, rate_hz: float = 20, **form: Any) -> Stream:
    array = np.asarray(values, dtype=np.float64)
    time_ns = np.rint(np.arange(len(array)) * (1e9 / rate_hz)).astype(np.int64)
    return Stream(name, kind, time_ns, array, (), Form(**form))


def pictures(name: str, rate_hz: float = 20, px: int = 96, depth: bool = False) -> Stream:
    time_ns = clock(rate_hz)
    shape, dtype = ((px, px), np.uint16) if depth else ((px, px, 3), np.uint8)
    frames = [np.full(shape, number, dtype) for number in range(len(time_ns))]
    return Stream(name, "depth" if depth else "image", time_ns, frames)


def recorded(*streams: Stream, **changes: Any) -> Episode:
    made = {stream.name: stream for stream in streams}
    plain = Episode("drawer-open", "open it", "", made, Provenance("a.mcap", "0" * 64, "mcap"), 20.0)
    return replace(plain, **changes)


def cell(**changes: Stream) -> Episode:
    """One second of the simulated cell, all streams on one clock."""
    ramp = np.arange(20.0)[:, None]
    streams = {
        "fixed": pictures("fixed"),
        "wrist": pictures("wrist"),
        "hand": numbers("hand", "state", ramp + np.array([0, 0.1, 0.2])),
        "gripper": numbers("gripper", "state", ramp),
        "joints": numbers("joints", "state", ramp * np.ones(7)),
        "action": numbers("action", "action", ramp * np.ones(4) / 20),
    }
    return recorded(*(streams | changes).values())


def test_hdf5_keeps_its_samples(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    demo = recordings.make_demo(steps=9)
    source = episode(demo, "hdf5")
    frames = frames_of(source)
    assert frames.episode_id == episode_id(source)
    np.testing.assert_array_equal(stacked(frames, "fixed"), demo.values["fixed"])
    np.testing.assert_array_equal(frames.state[:, :3], demo.values["hand"].astype(np.float32))
    np.testing.assert_array_equal(frames.state[:, 3:], demo.values["gripper"].astype(np.float32))
    np.testing.assert_array_equal(frames.action, demo.values["action"].astype(np.float32))
    np.testing.assert_array_equal(frames.extras["observation.joints"], demo.values["joints"].astype(np.float32))
    np.testing.assert_allclose(frames.time_s, np.arange(9) * 0.05)


def test_mcap_is_brought_onto_the_ticks(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    frames = frames_of(episode(recordings.make_demo(steps=21, rates_hz=RATES), "mcap"))
    assert (len(frames), frames.state.shape, frames.action.shape) == (21, (21, 4), (21, 4))
    assert stacked(frames, "wrist").shape == (21, 96, 96, 3)
    worst = {row["stream"]: row["worst_misalignment_ms"] for row in frames.streams}
    assert worst["action_executed"] is None
    assert worst["fixed"] == pytest.approx(16.67, abs=0.01)
    assert [row["rate_hz"] for row in frames.streams if row["stream"] == "fixed"] == pytest.approx([30.0])


def test_both_containers_give_the_same_numbers(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    demo = recordings.make_demo(steps=9)
    one, other = frames_of(episode(demo, "hdf5")), frames_of(episode(demo, "mcap"))
    assert one.episode_id == other.episode_id
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_array_equal(one.action, other.action)
    np.testing.assert_array_equal(one.time_s, other.time_s)


def test_provenance_reaches_the_row(recordings: ModuleType, episode: Callable[..., Episode]) -> None:
    row = frames_of(episode(recordings.make_demo(steps=4), "hdf5")).row
    expected = {key: value for key, value in recordings.METADATA.items() if key != "task"}
    assert row | expected == row
    assert row["source_format"] == "hdf5"


def test_images_are_brought_to_the_size_of_the_embodiment() -> None:
    frames = frames_of(cell(fixed=pictures("fixed", px=192)))
    assert stacked(frames, "fixed").shape == (20, 96, 96, 3)
    assert stacked(frames, "fixed")[:, 50, 50, 0].tolist() == list(range(20))


def test_what_the_checks_judge_is_kept() -> None:
    hand = np.zeros((20, 3))
    hand[4, 1], hand[5, 0] = np.nan, 1e300
    frames = frames_of(replace(cell(hand=numbers("hand", "state", hand)), instruction=""))
    assert frames.instruction == ""
    assert np.isnan(frames.state[4, 1])
    assert np.isinf(frames.state[5, 0])
    assert [row["nan_count"] for row in frames.streams if row["stream"] == "hand"] == [1]


@pytest.mark.parametrize("name", ["fixed", "wrist", "hand", "gripper", "joints", "action"])
def test_each_stream_of_the_cell_is_needed(name: str) -> None:
    source = cell()
    del source.streams[name]
    with pytest.raises(EpisodeError, match=f"no stream '{name}'") as caught:
        frames_of(source)
    assert (caught.value.code, caught.value.where) == ("missing_stream", "a.mcap")


@pytest.mark.parametrize(
    ("changes", "code"), [({"task": ""}, "missing_task"), ({"embodiment": "other-arm"}, "wrong_embodiment")]
)
def test_an_episode_of_something_else_is_refused(changes: dict[str, str], code: str) -> None:
    with pytest.raises(EpisodeError, match=r"names neither task nor instruction|expected 'sawyer-cell'") as caught:
        frames_of(replace(cell(), **changes))
    assert caught.value.code == code


def test_a_recording_that_names_no_embodiment_is_taken() -> None:
    assert frames_of(cell()).row["embodiment"] == "sawyer-cell"


def test_an_action_of_another_width_is_refused() -> None:
    with pytest.raises(EpisodeError, match=r"action has 7 dimensions, expected 4 \(dx, dy, dz, effort\)") as caught:
        frames_of(cell(action=numbers("action", "action", np.zeros((20, 7)))))
    assert caught.value.code == "wrong_shape"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (pictures("hand"), "stream 'hand' holds pictures, expected numbers"),
        (numbers("fixed", "state", np.zeros((20, 1))), "stream 'fixed' is of kind state, expected image"),
        (pictures("fixed", depth=True), "stream 'fixed' is of kind depth, expected image"),
    ],
)
def test_a_stream_of_another_kind_is_refused(wrong: Stream, said: str) -> None:
    with pytest.raises(EpisodeError, match=said) as caught:
        frames_of(cell(**{wrong.name: wrong}))
    assert caught.value.code == "wrong_kind"


def test_a_camera_that_changes_its_size_is_refused_when_it_is_read() -> None:
    wrist = pictures("wrist")
    frames = [*list(wrist.values)[:2], np.zeros((48, 48, 3), np.uint8), *list(wrist.values)[3:]]
    made = frames_of(cell(wrist=replace(wrist, values=frames)))
    with pytest.raises(EpisodeError, match=r"'wrist' has frames of \[48, 48, 3\] and \[96, 96, 3\]"):
        stacked(made, "wrist")


def test_no_frame_is_looked_at_before_it_is_taken() -> None:
    broken = replace(pictures("wrist"), values=[b"no picture"] * 20)
    frames = frames_of(cell(wrist=broken))
    assert len(frames) == 20
    with pytest.raises(EpisodeError, match="cannot be decoded"):
        frames.images["wrist"][0]


@pytest.mark.parametrize("fps", [5, 10, 30, 50])
def test_a_dataset_may_have_another_rate(fps: int) -> None:
    frames = frames_of(cell(), fps=fps)
    assert len(frames) == pytest.approx(fps, abs=2)
    np.testing.assert_allclose(np.diff(frames.time_s), 1 / fps, atol=1e-6)
    np.testing.assert_allclose(frames.state[:, 0], np.minimum(frames.time_s * 20, 19), atol=1e-4)


def test_causal_actions_never_look_ahead() -> None:
    late = numbers("action", "action", np.arange(20.0)[:, None] * np.ones(4))
    late = replace(late, time_ns=late.time_ns + np.where(np.arange(20) > 0, 3 * MS, 0))
    assert frames_of(cell(action=late)).action[:3, 0].tolist() == [0, 1, 2]
    assert frames_of(cell(action=late), causal=True).action[:3, 0].tolist() == [0, 0, 1]


def test_a_person_moved_the_robot_where_nobody_says_who() -> None:
    source = frames_of(cell()).extras["control_source"]
    assert (source.shape, source.dtype, set(source[:, 0])) == ((20, 1), np.dtype(np.int64), {1})


def test_who_moved_the_robot_holds_until_somebody_else_does() -> None:
    control = Stream("mode", "control", np.array([100, 500, 700], np.int64) * MS, np.array([[0.0], [1.0], [3.0]]))
    source = frames_of(cell(mode=control)).extras["control_source"][:, 0]
    assert source.tolist() == [0] * 10 + [1] * 4 + [3] * 6


@pytest.mark.parametrize("values", [[[4.0]], [[0.5]], [[np.nan]], [[0.0, 1.0]]])
def test_who_moved_the_robot_is_one_of_four(values: list[list[float]]) -> None:
    control = Stream("mode", "control", np.zeros(1, np.int64), np.array(values))
    with pytest.raises(EpisodeError, match="stream 'mode' holds no index into policy, human, blend, reset") as caught:
        frames_of(cell(mode=control))
    assert caught.value.code == "wrong_value"


def test_two_that_say_who_moved_the_robot_are_refused() -> None:
    modes = {name: numbers(name, "control", np.zeros((20, 1))) for name in ("mode", "pedal")}
    with pytest.raises(EpisodeError, match="'mode' and 'pedal' both say who moved the robot"):
        frames_of(cell(**modes))


def test_what_the_recording_knows_of_its_cameras_gets_a_digest() -> None:
    calibration = {"fixed": {"K": [1.0, 0.0]}, "recorded_at": "2026-01-01"}
    known = replace(cell(), calibration=calibration).with_provenance(calibration_digest="somebody said so")
    frames = frames_of(known)
    assert (frames.calibration, frames.row["calibration_digest"]) == (calibration, digest_json(calibration))
    named = frames_of(cell().with_provenance(calibration_digest="abc"))
    assert (named.calibration, named.row["calibration_digest"]) == ({}, "abc")


POSE = Embodiment(
    "pose",
    ObservationSpec(
        (),
        8,
        state=(
            StateGroup("place", ("x", "y", "z"), "m", "pose"),
            StateGroup("turn", tuple("abcd"), "unit quaternion", "pose", "slerp", "quaternion_xyzw"),
        ),
        kept=(
            StateGroup("force", ("fx", "fy"), "N", "wrench"),
            StateGroup("torque", ("tx",), "Nm", "wrench", "nearest"),
        ),
        depth=("depth",),
    ),
    ActionSpec(
        (ActionGroup("move", ("dx", "dy", "dz"), "m", "base", "step_delta", (-1.0,) * 3, (1.0,) * 3),),
        20.0,
        "position",
    ),
)


def test_groups_of_any_robot_are_cut_converted_and_kept() -> None:
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(20, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    places = rng.normal(size=(20, 3)) * 1000
    wxyz = ConvertRotation("quaternion_xyzw", "quaternion_wxyz").apply(turns)
    wrench = rng.normal(size=(20, 3))
    targets = np.cumsum(rng.normal(size=(20, 3)), axis=0)
    frames = frames_of(
        recorded(
            numbers("pose", "state", np.concatenate([places, wxyz], axis=1), units="mm", rotation="quaternion_wxyz"),
            numbers("wrench", "force", wrench),
            numbers("action", "action", targets * 1000, units="mm", representation="absolute"),
            pictures("depth", px=5, depth=True),
        ),
        POSE,
    )
    np.testing.assert_allclose(frames.state[:, :3], places / 1000, rtol=1e-6)
    assert float(np.max(angle_between(frames.state[:, 3:].astype(np.float64), turns))) < 1e-6
    np.testing.assert_allclose(frames.extras["observation.wrench"], wrench, rtol=1e-6)
    np.testing.assert_allclose(frames.action[0], [0, 0, 0])
    np.testing.assert_allclose(frames.action[1:], np.diff(targets, axis=0), rtol=1e-5, atol=1e-6)
    depth = np.stack(list(frames.depth["depth"]))
    assert (depth.shape, depth.dtype, depth[:, 0, 0].tolist()) == ((20, 5, 5), np.dtype(np.uint16), list(range(20)))
    assert frames.images == {}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"units": "rad"}, "stream 'action': units is 'rad', group 'move' expects 'm'"),
        ({"representation": "chunk_relative"}, "representation is 'chunk_relative', group 'move' expects 'step_delta'"),
    ],
)
def test_numbers_that_mean_something_else_are_refused(form: dict[str, Any], said: str) -> None:
    source = recorded(
        numbers("pose", "state", np.ones((20, 7))),
        numbers("wrench", "force", np.zeros((20, 3))),
        numbers("action", "action", np.zeros((20, 3)), **form),
        pictures("depth", depth=True),
    )
    with pytest.raises(EpisodeError, match=said) as caught:
        frames_of(source, POSE)
    assert (caught.value.code, caught.value.where) == ("wrong_form", "a.mcap")


def test_the_example_of_a_team_with_two_arms_and_a_base() -> None:
    """The streams of robots/examples, in the form that its mapping gives them, come out as its embodiment says."""
    body = load_embodiment(EXAMPLES / "two-arm-cart.yaml")
    (mapping,) = load_mappings(EXAMPLES / "maps" / "two-arm-cart.yaml")
    widths = {"grippers": 2, "left_hand": 7, "left_force": 3, "action_grippers": 2, "action_base": 2, "control": 1}
    rates = {"left_force": 200, "action_base": 20, "control": 5, "head": 30, "left_wrist": 30, "right_wrist": 30}
    streams = []
    for name, rule in mapping.streams.items():
        rate_hz, form = rates.get(name, 50), Form(rule.units, rule.rotation, rule.representation, rule.gripper)
        if rule.kind in ("image", "depth"):
            streams.append(pictures(name, rate_hz, px=8, depth=rule.kind == "depth"))
        else:
            values = np.ones((len(clock(rate_hz)), widths.get(name, 6)))
            streams.append(Stream(name, rule.kind, clock(rate_hz), values, (), form))
    frames = frames_of(recorded(*streams), body, fps=50)
    assert (frames.state.shape[1], frames.action.shape[1]) == (14, 16)
    assert set(frames.extras) == {"observation.left_hand", "observation.left_force", "control_source"}
    # Degrees became rad, and a gripper of 1 in [0 open, 100 closed] is nearly open.
    np.testing.assert_allclose(frames.action[0], [*[np.pi / 180] * 12, 0.99, 0.99, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(frames.state[0], [*[1.0] * 12, 0.99, 0.99], rtol=1e-6)
    assert (list(frames.images), list(frames.depth)) == ([*body.observation.cameras], ["head_depth"])
