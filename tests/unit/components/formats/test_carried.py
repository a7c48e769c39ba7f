"""What a converted file says of itself: through JSON and back, and a checksum that notices every change."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import FormatError
from components.core.spec import SAWYER_CELL
from components.formats.carried import (
    CHECKSUM,
    EPISODE_ID,
    KEY,
    Carried,
    calibration_from,
    carried_from,
    carried_id,
    checksum,
    plain_words,
)
from components.formats.mapping import Mapping

MAPPING = Mapping.model_validate(
    {
        "name": "gripline",
        "format": ["hdf5"],
        "time": "time",
        "streams": {
            "hand": {"from": "obs/state", "kind": "state", "select": [0, 1], "names": ["x", "y"], "units": "m"},
            "who": {"from": "control_source", "kind": "control", "values": {"0": "policy"}},
            "action": {"from": "actions", "kind": "action", "gripper": [-1.0, 1.0]},
        },
    }
)
CARRIED = Carried(MAPPING, ("obs/state", "actions"), SAWYER_CELL.as_dict())
WORDS = {"task": "drawer-open", "instruction": "pull", "embodiment": "sawyer-cell", "robot_id": "r", "site": "north"}
ID = "a" * 64


def columns() -> dict[str, npt.NDArray[Any]]:
    return {"actions": np.arange(8, dtype=np.float32).reshape(4, 2), "time": np.arange(4) / 20}


def sealed() -> dict[str, str]:
    return WORDS | {EPISODE_ID: ID, CHECKSUM: checksum(ID, WORDS, columns())}


def test_the_description_comes_back() -> None:
    found = carried_from(CARRIED.as_json(), where="a.hdf5")
    assert (found.mapping, found.columns) == (MAPPING, CARRIED.columns)
    assert found.as_json() == CARRIED.as_json()
    assert found.embodiment["name"] == "sawyer-cell"


@pytest.mark.parametrize("change", [{"version": 2}, {"mapping": {"rules": 1}}, {"columns": 3}, {"embodiment": [1]}])
def test_a_description_of_something_else(change: dict[str, Any]) -> None:
    text = json.dumps(json.loads(CARRIED.as_json()) | change)
    with pytest.raises(FormatError, match=r"a.hdf5 \(gripline\): cannot be read") as caught:
        carried_from(text, where="a.hdf5")
    assert caught.value.code == "bad_metadata"


def test_an_id_is_carried_while_nothing_changes() -> None:
    assert carried_id(sealed(), columns()) == ID
    assert carried_id(sealed() | {"site": "south", "licence": "MIT"}, columns()) == ID


@pytest.mark.parametrize("name", ["task", "instruction", "embodiment", "robot_id", EPISODE_ID, CHECKSUM])
@pytest.mark.parametrize("value", ["other", ""])
def test_a_word_that_the_id_covers(name: str, value: str) -> None:
    assert carried_id(sealed() | {name: value}, columns()) == ""


@given(st.sampled_from(["actions", "time"]), st.integers(0, 3), st.integers(0, 7))
def test_any_flipped_bit_of_a_number(name: str, row: int, bit: int) -> None:
    changed = columns()
    changed[name].reshape(4, -1)[row : row + 1].view(np.uint8).reshape(-1)[0] ^= 1 << bit
    assert carried_id(sealed(), changed) == ""


def test_a_column_more_or_less_or_of_another_shape() -> None:
    known = columns()
    assert carried_id(sealed(), known | {"more": np.zeros(3)}) == ""
    assert carried_id(sealed(), {"time": known["time"]}) == ""
    assert carried_id(sealed(), known | {"actions": known["actions"].reshape(2, 4)}) == ""


def test_calibrations() -> None:
    assert calibration_from("", where="a") == {}
    assert calibration_from(b'{"fixed": {"k": [1.5]}}', where="a") == {"fixed": {"k": [1.5]}}
    for text in ("[1]", "{", b"\xff"):
        with pytest.raises(FormatError, match="gripline_calibration"):
            calibration_from(text, where="a")


def test_words_for_people() -> None:
    assert plain_words(sealed() | {KEY: "{}"}) == WORDS
