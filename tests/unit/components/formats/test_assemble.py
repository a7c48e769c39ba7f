from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.core.errors import EpisodeError, FormatError
from components.formats.assemble import (
    assumed_times,
    build_episode,
    library_errors,
    numeric_stream,
    picture_stream,
    times_from_seconds,
)
from components.formats.mapping import Mapping, StreamRule

TIMES = np.arange(3, dtype=np.int64) * 50_000_000


def rule(kind: str = "state", **more: Any) -> StreamRule:
    return StreamRule.model_validate({"from": "x", "kind": kind, **more})


@pytest.mark.parametrize("error", [KeyError(1), OSError(22, "Invalid argument"), RuntimeError(""), RecursionError("x")])
def test_whatever_a_library_raises_becomes_a_format_error(error: Exception) -> None:
    with pytest.raises(FormatError, match=f"a.mcap: cannot be read .*{type(error).__name__}") as caught:  # noqa: SIM117
        with library_errors("a.mcap", code="bad_chunk"):
            raise error
    assert caught.value.code == "bad_chunk"


def test_memory_that_runs_out_has_a_code_of_its_own() -> None:
    with pytest.raises(FormatError, match="more memory") as caught, library_errors("a", code="bad_chunk"):
        raise MemoryError
    assert caught.value.code == "too_large"


def test_our_own_errors_pass_untouched() -> None:
    with pytest.raises(EpisodeError, match="mine") as caught, library_errors("a.mcap", code="bad_chunk"):
        raise EpisodeError("mine", code="special")
    assert caught.value.code == "special"


def test_one_number_a_sample_may_come_flat() -> None:
    stream = numeric_stream("gripper", rule(units="m"), TIMES, np.array([1, 2, 3], dtype=">i2"), where="a")
    np.testing.assert_array_equal(stream.values, [[1.0], [2.0], [3.0]])
    assert stream.values.dtype == np.float64  # type: ignore[union-attr]
    assert stream.form.units == "m"


def test_columns_are_selected_in_the_order_of_the_rule() -> None:
    values = np.arange(12).reshape(3, 4)
    stream = numeric_stream("arm", rule(select=(2, 0), names=("b", "a")), TIMES, values, where="a")
    np.testing.assert_array_equal(stream.values, values[:, [2, 0]])
    assert stream.names == ("b", "a")


@pytest.mark.parametrize(
    ("more", "values", "code", "said"),
    [
        ({}, np.zeros((3, 0)), "wrong_shape", r"is \[3, 0\], expected \[N, D\]"),
        ({}, np.zeros((3, 2, 2)), "wrong_shape", r"expected \[N, D\]"),
        ({}, np.array(["a", "b", "c"]), "wrong_type", "expected numbers"),
        ({}, np.zeros(3, complex), "wrong_type", "complex128"),
        ({}, np.zeros((4, 2)), "length_mismatch", "4 samples but 3 timestamps"),
        ({"select": (0, 5)}, np.zeros((3, 2)), "wrong_shape", "has 2 columns, its mapping asks for 5"),
        ({"names": ("a",)}, np.zeros((3, 2)), "wrong_shape", r"has 2 columns, expected 1 \(a\)"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(more: dict[str, Any], values: Any, code: str, said: str) -> None:
    with pytest.raises(EpisodeError, match=said) as caught:
        numeric_stream("arm", rule(**more), TIMES, values, where="a.h5#demo_1")
    assert (caught.value.code, caught.value.where) == (code, "a.h5#demo_1")


def test_who_moved_the_robot_is_said_by_words_numbers_or_truth_values() -> None:
    values = {"true": "human", "false": "policy", "2": "reset"}
    for said, index in (
        ([True, False, True], [1, 0, 1]),
        ([2.0, 2.0, 2.0], [3] * 3),
        ([b"blend", b"human", 2], [2, 1, 3]),
    ):
        stream = numeric_stream("control", rule("control", values=values), TIMES, np.array(said, object), where="a")
        np.testing.assert_array_equal(stream.values, np.array(index, float)[:, None])
    with pytest.raises(EpisodeError, match="'control' says 'someone'") as caught:
        numeric_stream("control", rule("control"), TIMES, ["human", "someone", "human"], where="a")
    assert caught.value.code == "wrong_value"


def test_a_frame_without_a_time_is_refused() -> None:
    with pytest.raises(EpisodeError, match="2 samples but 3 timestamps") as caught:
        picture_stream("top", rule("image"), TIMES, [b"", b""], where="a")
    assert caught.value.code == "length_mismatch"


def test_seconds_become_nanoseconds() -> None:
    np.testing.assert_array_equal(times_from_seconds([[0.0], [0.05]], "time", where="a"), [0, 50_000_000])
    np.testing.assert_array_equal(times_from_seconds(np.array([1, 2], ">i4"), "time", where="a"), [10**9, 2 * 10**9])


@pytest.mark.parametrize("seconds", [[np.nan], [np.inf], [1e300], [-5e9], [], ["x"], [[0.0, 1.0]]])
def test_times_of_no_robot_are_refused(seconds: Any) -> None:
    with pytest.raises(EpisodeError, match=r"'time' (holds|is)") as caught:
        times_from_seconds(seconds, "time", where="a")
    assert caught.value.code == "bad_time"


def test_times_may_be_made_from_a_rate() -> None:
    np.testing.assert_array_equal(assumed_times(3, Mapping(rate_hz=30, streams={})), [0, 33_333_333, 66_666_667])
    np.testing.assert_array_equal(assumed_times(2, Mapping(streams={}), default_hz=50), [0, 20_000_000])


def build(metadata: dict[str, str] | None = None, mapping: Mapping | None = None, **streams: Any) -> Any:
    made = {
        name: numeric_stream(name, rule("action"), TIMES[: len(values)], values, where="a")
        for name, values in streams.items()
    }
    return build_episode(
        made, metadata or {}, mapping or Mapping(streams={}), source_uri="a", source_sha256="b", source_format="c"
    )


def test_missing_metadata_leaves_empty_strings() -> None:
    episode = build(action=np.zeros((3, 4)))
    assert (episode.task, episode.provenance.robot_id, episode.provenance.outcome) == ("", "", "unknown")
    assert episode.rate_hz == 20.0


def test_what_a_file_says_goes_before_the_constants_of_its_mapping() -> None:
    constants = {"task": "pour", "site": "south", "robot_id": "r1"}
    said = {"task": "wipe", "site": "", "weather": "rain", "outcome": "success"}
    episode = build(said, Mapping(streams={}, constants=constants), action=np.zeros((3, 4)))
    assert (episode.task, episode.provenance.site, episode.provenance.robot_id) == ("wipe", "south", "r1")
    assert (episode.provenance.outcome, episode.extra) == ("success", {"weather": "rain"})


@pytest.mark.parametrize("streams", [{}, {"action": np.zeros((0, 4))}])
def test_an_episode_without_a_sample_is_refused(streams: dict[str, Any]) -> None:
    with pytest.raises(EpisodeError, match="no stream holds a sample") as caught:
        build(**streams)
    assert caught.value.code == "missing_stream"
