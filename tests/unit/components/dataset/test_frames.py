from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.core.errors import DatasetError
from components.core.files import digest_json
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
        ({"images": {"wrist": np.zeros((20, 8, 8, 3), np.uint8)}}, "camera 'wrist' has 20 pictures, expected 23"),
        ({"depth": {"fixed": [np.zeros((8, 8), np.uint16)]}}, "camera 'fixed' has 1 pictures, expected 23"),
        ({"calibration": {"fx": 600.0}}, "calibration_digest is not the digest of the calibration"),
        ({"row": {"source_uri": "a.mcap"}}, "row columns missing or unknown: calibration_digest"),
        ({"streams": [{"stream": "hand"}]}, "stream columns missing or unknown: backwards"),
    ],
)
def test_refuses_what_it_does_not_say(make_episode: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make_episode(1, **changes)


def test_a_calibration_goes_with_its_digest(make_episode: Make) -> None:
    row = make_episode(1).row | {"calibration_digest": digest_json({"fx": 600.0})}
    assert make_episode(1, row=row, calibration={"fx": 600.0}).calibration == {"fx": 600.0}
    # A recording may name a calibration that it does not hold.
    assert make_episode(1, row=row).calibration == {}
