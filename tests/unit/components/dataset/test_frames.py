from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.dataset.frames import EpisodeFrames

Make = Callable[..., EpisodeFrames]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_s": np.zeros(0)}, "time_s is float64 \\[0\\], expected a non-empty float64"),
        ({"time_s": np.zeros(23, np.float32)}, "time_s is float32"),
        ({"state": np.zeros((23, 4))}, "state is float64 \\[23, 4\\], expected float32 \\[23, D\\]"),
        ({"action": np.zeros((22, 4), np.float32)}, "action is float32 \\[22, 4\\]"),
        ({"extras": {"observation.joints": np.zeros(23)}}, "observation.joints is float64 \\[23\\]"),
        ({"images": {"wrist": np.zeros((23, 8, 8, 3))}}, "camera 'wrist' is float64"),
        ({"images": {"wrist": np.zeros((20, 8, 8, 3), np.uint8)}}, "camera 'wrist' is uint8 \\[20, 8, 8, 3\\]"),
        ({"row": {"source_uri": "a.mcap"}}, "row columns missing or unknown: calibration_digest"),
        ({"streams": [{"stream": "hand"}]}, "stream columns missing or unknown: backwards"),
    ],
)
def test_refuses_what_it_does_not_say(make_episode: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make_episode(1, **changes)


def test_refuses_an_unknown_split(make_episode: Make) -> None:
    episode = make_episode(1)
    with pytest.raises(DatasetError, match=r"site-north/1.mcap: split is 'test', expected one of train, val"):
        replace(episode, row=episode.row | {"split": "test"})


def test_equal_contents_have_equal_hashes(make_episode: Make) -> None:
    episode = make_episode(1)
    swapped = replace(episode, state=np.asfortranarray(episode.state), extras=dict(episode.extras))
    assert make_episode(1).frames_sha256 == episode.frames_sha256 == swapped.frames_sha256


@pytest.mark.parametrize("field", ["state", "action", "time_s"])
def test_one_changed_number_changes_the_hash(make_episode: Make, field: str) -> None:
    episode = make_episode(1)
    values = getattr(episode, field).copy()
    values[-1] = np.nextafter(values[-1], np.inf, dtype=values.dtype)
    assert replace(episode, **{field: values}).frames_sha256 != episode.frames_sha256


def test_words_extras_and_split_change_the_hash_provenance_does_not(make_episode: Make) -> None:
    episode = make_episode(1)
    others = [
        replace(episode, instruction="close it"),
        replace(episode, extras={}),
        replace(episode, extras={"observation.other": episode.extras["observation.joints"]}),
        replace(episode, row=episode.row | {"split": "val"}),
    ]
    assert len({episode.frames_sha256, *(other.frames_sha256 for other in others)}) == 5
    assert replace(episode, row=episode.row | {"licence": "CC0-1.0"}).frames_sha256 == episode.frames_sha256
