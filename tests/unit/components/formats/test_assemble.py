from __future__ import annotations

import numpy as np
import pytest

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import build_episode, library_errors, numeric_stream
from components.formats.mapping import ACTION, GRIPPER, HDF5_DATASETS, REQUIRED, TOPICS


@pytest.mark.parametrize("error", [KeyError(1), OSError(22, "Invalid argument"), RuntimeError(""), ValueError("x")])
def test_whatever_a_library_raises_becomes_a_format_error(error: Exception) -> None:
    with pytest.raises(FormatError, match=f"a.mcap: cannot be read .*{type(error).__name__}") as caught:  # noqa: SIM117
        with library_errors("a.mcap"):
            raise error
    assert caught.value.code == "unreadable"


def test_our_own_errors_pass_untouched() -> None:
    with pytest.raises(EpisodeError, match="mine") as caught:  # noqa: SIM117
        with library_errors("a.mcap"):
            raise EpisodeError("mine", code="special")
    assert caught.value.code == "special"


def test_one_number_a_sample_may_come_flat() -> None:
    stream = numeric_stream(GRIPPER, np.arange(3), np.array([1, 2, 3], dtype=">i2"), where="a")
    np.testing.assert_array_equal(stream.values, [[1.0], [2.0], [3.0]])
    assert stream.values.dtype == np.float64  # type: ignore[union-attr]


def test_missing_metadata_leaves_empty_strings() -> None:
    action = numeric_stream(ACTION, np.arange(3) * 50_000_000, np.zeros((3, 4)), where="a")
    episode = build_episode(
        {"action": action}, {}, instruction="", source_uri="a", source_sha256="b", source_format="c"
    )
    assert (episode.task, episode.provenance.robot_id, episode.provenance.outcome) == ("", "", "unknown")
    assert episode.rate_hz == 20.0


def test_both_formats_can_hold_every_required_stream() -> None:
    assert set(REQUIRED) <= {target.stream for _, target in TOPICS.values()}
    assert set(REQUIRED) <= {target.stream for target in HDF5_DATASETS.values()}
