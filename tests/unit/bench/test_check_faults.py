"""Every fault changes what it is about, by its draws alone, and leaves the rest as it is."""

from __future__ import annotations

import pytest
from checkbench.faults import FAULTS
from checkbench.parts import ACTION, NUMERIC
from faulty import ALL, CAMERAS, EVERY, SEEDS, changed, contents, faulty, said

from components.core.episode import Episode

# Streams that a fault may change, and how many of them it does; None: any number.
TOUCHED: dict[str, tuple[set[str], int | None]] = {
    "nan": (set(NUMERIC), 1),
    "missing_stream": (ALL - {"action_executed"}, 1),
    "missing_language": (set(), 0),
    "too_short": (ALL, len(ALL)),
    "idle": (ALL, len(ALL)),
    "frozen_camera": (CAMERAS, 1),
    "black_frames": (CAMERAS, 1),
    "blurred": (CAMERAS, 1),
    "exposure": (CAMERAS, 1),
    "dropped_frames": (ALL - {"action_executed"}, 1),
    "duplicate_frames": (CAMERAS, 1),
    "clock_backwards": (ALL, len(ALL)),
    "clock_stopped": (ALL - {"action_executed"}, 1),
    "clock_jitter": (ALL - {"action_executed"}, 1),
    "rate_mismatch": (ALL, len(ALL)),
    "stream_misaligned": ({ACTION}, 1),
    "action_out_of_range": ({ACTION}, 1),
    "action_jump": ({ACTION}, 1),
    "state_jump": ({"hand"}, 1),
    "joint_limit": ({"joints"}, 1),
    "unit_mismatch": ({"hand", "joints"}, None),
    "constant_dim": ({"hand", "joints"}, 1),
    "gripper_inverted": ({ACTION, "gripper"}, 1),
    "action_state_disagree": ({ACTION}, 1),
    "wrong_dim_order": ({ACTION, "hand", "joints"}, 1),
    "duplicate_episode": (ALL, None),
    "split_leak": (ALL, None),
    "instruction_mismatch": (set(), 0),
    "instruction_mismatch_rate": (set(), 0),
    "outlier_episode": (ALL, len(ALL)),
    "no_consent": (set(), 0),
    "licence_forbids": (set(), 0),
    "camera_swapped": (CAMERAS, 2),
    "calibration_drift": ({"hand", "joints"}, 1),
}
# Faults of what is said about an episode: the words that change.
SAID = {
    "missing_language": {"instruction"},
    "instruction_mismatch": {"instruction"},
    "instruction_mismatch_rate": {"instruction"},
    "no_consent": {"consent_ref"},
    "licence_forbids": {"licence"},
    "duplicate_episode": {"source_uri", "recorded_at", "carried_id"},
    "split_leak": {"source_uri", "recorded_at", "carried_id"},
}


def test_every_code_is_tested() -> None:
    assert list(TOUCHED) == list(FAULTS)


@EVERY
@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_touches_what_it_is_about(code: str, strength: int, episode: Episode, others: list[Episode]) -> None:
    allowed, count = TOUCHED[code]
    for seed in SEEDS:
        after = faulty(code, episode, strength, others, seed)
        touched = changed(episode, after)
        assert touched <= allowed
        assert count is None or len(touched) == count
        words = said(after)
        assert {name for name, word in said(episode).items() if words[name] != word} == SAID.get(code, set())
        assert set(after.streams) <= set(episode.streams)
        assert after.task == episode.task


@EVERY
@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_depends_on_its_draws_alone(code: str, strength: int, episode: Episode, others: list[Episode]) -> None:
    before = contents(episode), said(episode)
    one, other = (faulty(code, episode, strength, others) for _ in range(2))
    assert contents(one) == contents(other)
    assert (contents(episode), said(episode)) == before


@pytest.mark.parametrize(
    ("code", "places"), [(code, len(TOUCHED[code][0])) for code in TOUCHED if TOUCHED[code][1] == 1]
)
def test_a_fault_takes_all_its_places_in_turn(code: str, places: int, episode: Episode, others: list[Episode]) -> None:
    found = set().union(*(changed(episode, faulty(code, episode, 1, others, seed)) for seed in range(60)))
    assert len(found) == places
