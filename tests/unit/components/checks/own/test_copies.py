"""The same recording more than once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.checks.own.copies import copies
from components.checks.own.rows import Rows
from components.core.params import Checks

IDLE = 0.02
Found = Callable[..., dict[str, tuple[str, str]]]


def row(name: str, second: int, **changes: Any) -> dict[str, Any]:
    base = {"episode_id": name, "recorded_at": f"2026-01-05T08:00:{second:02d}Z", "source_uri": f"{name}.mcap"}
    base |= {"pixel_sha256": f"pixels {name}", "motion_sha256": f"motion {name}", "motion": 0.3, "split": "train"}
    return {**base, "fingerprint": [], **changes}


@pytest.fixture
def found(episodes: ModuleType) -> Found:
    def of(*rows: dict[str, Any], body: Any = episodes.CELL) -> dict[str, tuple[str, str]]:
        table = pa.Table.from_pylist(list(rows))
        hashes = pa.array([r["fingerprint"] for r in rows], pa.list_(pa.int64()))
        at = table.column_names.index("fingerprint")
        marks = copies(Rows(table.set_column(at, "fingerprint", hashes), body), IDLE)
        return {
            r["episode_id"]: (copy, leak)
            for r, copy, leak in zip(rows, marks["duplicate_of"], marks["leak_of"], strict=True)
        }

    return of


def test_episodes_that_differ_are_no_copies(found: Found) -> None:
    assert found(row("a", 1), row("b", 2)) == {"a": ("", ""), "b": ("", "")}


def test_the_earliest_recording_is_the_original_whatever_its_place(found: Found) -> None:
    marks = found(row("a", 9, pixel_sha256="p"), row("b", 2, pixel_sha256="p"))
    assert marks == {"a": ("b", ""), "b": ("", "")}
    undated = {"recorded_at": "", "pixel_sha256": "p"}
    assert found(row("b", 1, **undated), row("a", 1, **undated)) == {"b": ("a", ""), "a": ("", "")}


def test_the_same_motion_is_a_copy_where_there_is_motion(found: Found) -> None:
    assert found(row("a", 1, motion_sha256="m"), row("b", 2, motion_sha256="m"))["b"] == ("a", "")
    still = {"motion_sha256": "m", "motion": 0.001}
    assert found(row("a", 1, **still), row("b", 2, **still))["b"] == ("", "")


def test_without_cameras_no_pictures_are_alike(found: Found, episodes: ModuleType) -> None:
    blind = replace(episodes.CELL, observation=replace(episodes.CELL.observation, cameras=()))
    rows = [row(name, 1, pixel_sha256="of nothing") for name in "ab"]
    assert found(*rows, body=blind)["b"] == ("", "")
    assert found(*rows)["b"] == ("a", "")


def test_a_chain_of_copies_leads_to_one_original(found: Found) -> None:
    both = row("b", 2, pixel_sha256="p", motion_sha256="m")
    marks = found(row("c", 3, motion_sha256="m"), row("a", 1, pixel_sha256="p"), both)
    assert marks == {"a": ("", ""), "b": ("a", ""), "c": ("a", "")}


def test_a_copy_on_the_other_side_of_the_split_leaks(found: Found) -> None:
    rows = [row(n, s, pixel_sha256="p", split=side) for s, (n, side) in enumerate(zip("abc", "tvt", strict=True))]
    assert found(*rows) == {"a": ("", ""), "b": ("a", "a"), "c": ("a", "b")}


@pytest.mark.parametrize(("shared", "size", "is_copy"), [(2, 4, False), (3, 4, True), (8, 20, True), (7, 20, False)])
def test_enough_shared_hashes_make_a_copy(found: Found, shared: int, size: int, is_copy: bool) -> None:
    one, other = list(range(32)), [*range(shared), *range(100, 100 + size - shared)]
    assert found(row("a", 1, fingerprint=one), row("b", 2, fingerprint=other))["b"][0] == ("a" if is_copy else "")


def test_what_all_episodes_begin_with_says_nothing(found: Found) -> None:
    same = list(range(5))
    rows = [row(f"{n:03d}", 1, fingerprint=[*same, *range(1000 * n, 1000 * n + 3)]) for n in range(1, 67)]
    assert set(found(*rows).values()) == {("", "")}
    assert len({copy for copy, _ in found(*rows[:60]).values()}) == 2


@pytest.mark.parametrize("cut", [slice(None), slice(0, 30), slice(9, None), slice(8, 34)])
def test_a_trimmed_copy_of_an_episode_is_found_whatever_its_pictures(
    cut: slice, episodes: ModuleType, good_measures: pa.Table, params: Checks
) -> None:
    sample = episodes.good(6)
    frames = {key: values[cut] for key, values in sample.frames.items()}
    images = {camera: np.clip(pictures[cut], 9, 255) for camera, pictures in sample.images.items()}
    later = {"recorded_at": "2026-03-01T08:00:00Z", "pixel_sha256": "encoded again", "split": "val"}
    copy = replace(sample, row=sample.row | later | {"episode_id": "copy"}, frames=frames, images=images)
    table = pa.concat_tables([good_measures, episodes.measured([copy])])
    marks = copies(Rows(table, episodes.CELL), params.idle_motion_m)
    assert (marks["duplicate_of"][-1], marks["leak_of"][-1]) == (sample.row["episode_id"],) * 2
    assert set(marks["duplicate_of"][:-1]) == set(marks["leak_of"][:-1]) == {""}
