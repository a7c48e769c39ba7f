from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.episode import Episode, Provenance, Stream, episode_id
from components.core.errors import EpisodeError


def episode(shift_ns: int = 0, **changes: str) -> Episode:
    time_ns = np.arange(4, dtype=np.int64) * 50_000_000 + shift_ns
    streams = {
        "hand": Stream("hand", "state", time_ns, np.arange(12, dtype=np.float64).reshape(4, 3)),
        "fixed": Stream("fixed", "image", time_ns + 3, [b"jpeg"] * 4),
    }
    made = Episode("drawer-open", "open the drawer", "sawyer-cell", streams, Provenance("a", "b", "mcap"), 20.0)
    return made.with_provenance(**changes)


@given(st.integers(-(10**15), 10**15))
def test_the_id_does_not_depend_on_where_the_clock_began(shift_ns: int) -> None:
    assert episode_id(episode(shift_ns)) == episode_id(episode())


def test_the_id_does_not_depend_on_the_container() -> None:
    assert episode_id(episode(source_uri="x.hdf5#demo_1", source_format="hdf5", site="elsewhere")) == episode_id(
        episode()
    )


def test_the_id_ignores_pixels_and_sees_everything_else() -> None:
    base = episode()
    hand = base.streams["hand"]
    pixels = replace(base.streams["fixed"], values=[b"png"] * 4)
    assert episode_id(replace(base, streams={**base.streams, "fixed": pixels})) == episode_id(base)
    others = [
        replace(base, task="faucet-open"),
        replace(base, instruction="please open the drawer"),
        replace(base, embodiment="panda"),
        base.with_provenance(robot_id="cell-9"),
        replace(base, streams={**base.streams, "hand": replace(hand, values=np.asarray(hand.values) + 1e-9)}),
        replace(base, streams={**base.streams, "hand": replace(hand, time_ns=hand.time_ns + np.arange(4))}),
        replace(base, streams={"hand": hand}),
    ]
    ids = {episode_id(item) for item in [base, *others]}
    assert len(ids) == len(others) + 1


def test_a_stream_needs_a_time_for_every_sample() -> None:
    with pytest.raises(EpisodeError, match="'hand' has 3 samples but 2 timestamps"):
        Stream("hand", "state", np.zeros(2, np.int64), np.zeros((3, 1)))


def test_a_missing_stream_is_named_with_what_there_is() -> None:
    with pytest.raises(EpisodeError, match="no stream 'wrist'; there are fixed, hand"):
        episode().stream("wrist")


@pytest.mark.parametrize(("times", "rate"), [([0, 50_000_000, 100_000_000], 20.0), ([5], 0.0), ([7, 7, 7], 0.0)])
def test_the_rate_survives_frozen_clocks(times: list[int], rate: float) -> None:
    stream = Stream("x", "state", np.array(times, np.int64), np.zeros((len(times), 1)))
    assert stream.rate_hz == rate


def test_depth_counts_as_a_picture() -> None:
    time_ns = np.arange(4, dtype=np.int64)
    one, other = (Stream("d", "depth", time_ns, [np.full((2, 2), level, np.uint16)] * 4) for level in (1, 2))
    base = episode()
    ids = {episode_id(replace(base, streams={**base.streams, "d": depth})) for depth in (one, other)}
    assert len(ids) == 1
    assert episode_id(base) not in ids


def test_the_id_sees_forces_and_who_moved_the_robot() -> None:
    base, time_ns = episode(), np.arange(4, dtype=np.int64)
    found = {episode_id(base)}
    for kind in ("force", "control"):
        for level in (0.0, 1.0):
            stream = Stream("s", kind, time_ns, np.full((4, 1), level))
            found.add(episode_id(replace(base, streams={**base.streams, "s": stream})))
    assert len(found) == 5


def test_a_converted_file_keeps_the_id_that_it_carries() -> None:
    assert episode_id(replace(episode(), carried_id="e" * 64)) == "e" * 64


def test_streams_are_listed_by_kind_in_the_order_of_their_names() -> None:
    time_ns = np.arange(1, dtype=np.int64)
    pictures = {name: Stream(name, "image", time_ns, [b""]) for name in ("wrist", "front")}
    base = replace(episode(), streams={**episode().streams, **pictures})
    assert [stream.name for stream in base.of_kind("image")] == ["fixed", "front", "wrist"]
    assert base.of_kind("depth") == []
