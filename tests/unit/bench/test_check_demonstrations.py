"""Faults of a demonstration and of what is said about it, by the amount that the table says."""

from __future__ import annotations

import numpy as np
import pytest
from checkbench.faults import STRENGTHS
from checkbench.parts import ACTION, NUMERIC, numbers, pictures
from faulty import CAMERAS, EVERY, as_text, faulty, ticks

from components.core.episode import Episode, episode_id


@pytest.mark.parametrize(("strength", "left"), [(0, 7), (1, 5), (2, 3)])
def test_too_short_leaves_as_many_ticks(strength: int, left: int, episode: Episode) -> None:
    assert ticks(faulty("too_short", episode, strength)) == left


@EVERY
def test_idle_keeps_the_hand_near_its_start(strength: int, episode: Episode) -> None:
    after = faulty("idle", episode, strength)
    reach = {
        name: np.linalg.norm(numbers(one, "hand") - numbers(one, "hand")[0], axis=1).max()
        for name, one in (("before", episode), ("after", after))
    }
    assert reach["after"] == pytest.approx((0.015, 0.010, 0.0)[strength], abs=1e-9)
    factor = reach["after"] / reach["before"]
    assert numbers(after, ACTION)[:, :3] == pytest.approx(factor * numbers(episode, ACTION)[:, :3])
    assert np.ptp(numbers(after, "joints"), axis=0) == pytest.approx(
        factor * np.ptp(numbers(episode, "joints"), axis=0)
    )
    assert all(len({as_text(picture) for picture in pictures(after, name)}) == 1 for name in CAMERAS)


@EVERY
@pytest.mark.parametrize("code", ["duplicate_episode", "split_leak"])
def test_a_copy_is_trimmed_encoded_again_and_has_an_id_of_its_own(code: str, strength: int, episode: Episode) -> None:
    after = faulty(code, episode, strength)
    assert episode_id(after) != episode_id(episode)
    assert ticks(after) == pytest.approx((0.5, 0.8, 1.0)[strength] * ticks(episode), abs=1.5)
    for name in NUMERIC:
        left = numbers(after, name)
        assert np.array_equal(left, numbers(episode, name)[-len(left) :])
    assert all(isinstance(frame, bytes) for name in CAMERAS for frame in after.streams[name].values)
    pairs = zip(pictures(after, "fixed")[::-1], pictures(episode, "fixed")[::-1], strict=False)
    loss = [np.abs(new.astype(int) - old).mean() for new, old in pairs]
    assert 0 < max(loss) < 30
    assert after.provenance.recorded_at > episode.provenance.recorded_at


@EVERY
def test_a_slow_demonstration_goes_the_same_way(strength: int, episode: Episode) -> None:
    factor = (2, 4, 8)[strength]
    after = faulty("outlier_episode", episode, strength)
    for name, stream in episode.streams.items():
        slow = after.streams[name]
        assert np.ptp(slow.time_ns) == pytest.approx(factor * np.ptp(stream.time_ns), rel=1e-6)
        assert slow.rate_hz == pytest.approx(stream.rate_hz, rel=0.01)
    assert numbers(after, "hand")[[0, -1]] == pytest.approx(numbers(episode, "hand")[[0, -1]])
    way = numbers(after, ACTION)[:, :3].sum(axis=0) / numbers(episode, ACTION)[:, :3].sum(axis=0)
    assert way == pytest.approx(1.0, abs=0.05)
    assert np.ptp(numbers(after, ACTION)[:, 3]) == pytest.approx(np.ptp(numbers(episode, ACTION)[:, 3]))


def test_words_say_what_the_table_says(episode: Episode, others: list[Episode]) -> None:
    for strength in range(len(STRENGTHS)):
        assert faulty("missing_language", episode, strength).instruction == ("drawer-open", "n/a", "")[strength]
        assert faulty("no_consent", episode, strength).provenance.consent_ref == ("pending", "n/a", "")[strength]
        assert faulty("instruction_mismatch", episode, strength, others).instruction in {o.instruction for o in others}
        assert faulty("instruction_mismatch_rate", episode, strength, others).instruction == others[0].instruction
    licences = [faulty("licence_forbids", episode, strength).provenance.licence for strength in range(3)]
    assert licences == ["CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", "All rights reserved"]
