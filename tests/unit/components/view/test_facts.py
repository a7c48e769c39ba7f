from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.dataset.episode_table import read_verdicts
from components.dataset.parts import Part, part_of
from components.view import facts as facts_module
from components.view.facts import facts


@pytest.fixture(scope="module")
def found(parts: list[Part], verdicts: Path) -> dict[str, Any]:
    return facts(parts, read_verdicts(verdicts))


def counts(found: dict[str, Any], name: str) -> dict[str, int]:
    return {row["value"]: row["episodes"] for row in found["groups"][name]["rows"]}


def test_sums_are_those_of_the_tree(found: dict[str, Any], parts: list[Part]) -> None:
    lengths = parts[0].dataset.lengths
    assert found["total"]["episodes"] == 9
    assert found["total"]["frames"] == int(lengths.sum())
    assert found["total"]["hours"] == pytest.approx(lengths.sum() / 20 / 3600, abs=1e-9)
    frames = {row["value"]: row["frames"] for row in found["groups"]["robot_id"]["rows"]}
    assert frames == {"cell-a": int(lengths[[0, 1, 2, 4, 5, 8]].sum()), "cell-b": int(lengths[[3, 6, 7]].sum())}


def test_groups_come_by_how_many_and_then_by_name(found: dict[str, Any]) -> None:
    assert list(counts(found, "task").items()) == [("open", 5), ("close", 2), ("pour <b>|x</b>", 2)]
    assert counts(found, "licence") == {"cc-by-4.0": 5, "": 2, "in-house": 2}
    assert counts(found, "verdict") == {"accepted": 7, "": 1, "quarantined": 1}
    assert found["codes"] == [{"code": "black_frames", "episodes": 1}, {"code": "idle", "episodes": 1}]


def test_what_is_missing_is_counted(found: dict[str, Any]) -> None:
    assert found["missing"] == {
        "licence": 2,
        "consent_ref": 0,
        "recorded_at": 1,
        "robot_id": 0,
        "site": 0,
        "collector_id": 2,
    }


def test_values_beyond_the_most_are_summed(parts: list[Part], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "MOST_ROWS", 1)
    group = facts(parts)["groups"]["task"]
    assert (group["values"], [row["value"] for row in group["rows"]]) == (3, ["open"])
    whole = facts(parts)["total"]
    assert group["others"]["episodes"] == 4
    assert group["others"]["frames"] == whole["frames"] - group["rows"][0]["frames"]


def test_durations_are_those_that_occur_and_every_episode_is_in_a_bin(found: dict[str, Any], parts: list[Part]) -> None:
    durations = sorted((parts[0].dataset.lengths / 20).tolist())
    quantiles = found["durations"]["quantiles_s"]
    assert (quantiles["q0"], quantiles["q50"], quantiles["q100"]) == (durations[0], durations[4], durations[-1])
    assert sum(one["episodes"] for one in found["durations"]["bins"]) == 9


def test_one_duration_alone_has_one_bin(parts: list[Part]) -> None:
    durations = facts([part_of(parts[0].dataset, [3])])["durations"]
    assert [one["episodes"] for one in durations["bins"]] == [1]


def test_facts_are_json_and_come_out_the_same(found: dict[str, Any], parts: list[Part], verdicts: Path) -> None:
    again = facts(parts, read_verdicts(verdicts))
    assert json.dumps(again, allow_nan=False) == json.dumps(found, allow_nan=False)


def test_without_verdicts_none_are_counted(parts: list[Part]) -> None:
    found = facts(parts)
    assert "verdict" not in found["groups"]
    assert found["codes"] == []


def test_a_dataset_is_named_with_what_it_was_built_with(found: dict[str, Any], parts: list[Part]) -> None:
    (one,) = found["datasets"]
    dataset = parts[0].dataset
    assert (one["name"], one["digest"], one["episodes"], one["of"]) == ("kitchen", dataset.digest, 9, 9)
    assert (one["fps"], one["cameras"], one["image_px"], one["action"]) == (20, ["fixed", "wrist"], 32, 4)
    assert one["video"]["codec"] == "h264"
